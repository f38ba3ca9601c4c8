# SPDX-License-Identifier: Apache-2.0
"""As much of JSON Schema as docs/manifest.schema.json uses. A keyword that is
not known here is a mistake, so that none is skipped in silence. Where Python's
jsonschema is installed, it judges as well."""
import re

TYPES = {"object": dict, "array": list, "string": str, "boolean": bool}
SILENT = {"$schema", "$defs", "title", "description"}


def fits_type(value, name):
    if name == "integer":
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, TYPES[name])


def resolve(root, reference):
    node = root
    for part in reference.removeprefix("#/").split("/"):
        node = node[part]
    return node


CHECKS = {
    "type": fits_type,
    "const": lambda value, wanted: value == wanted,
    "enum": lambda value, wanted: value in wanted,
    "minimum": lambda value, limit: value >= limit,
    "maximum": lambda value, limit: value <= limit,
    "minLength": lambda value, limit: len(value) >= limit,
    "minItems": lambda value, limit: len(value) >= limit,
    "maxItems": lambda value, limit: len(value) <= limit,
    "pattern": lambda value, text: re.search(text, value) is not None,
    "required": lambda value, names: all(name in value for name in names),
}


def validate(value, schema, root=None, place="manifest"):
    """A list of complaints, empty when |value| is valid."""
    root = schema if root is None else root
    found = []
    for keyword, wanted in schema.items():
        if keyword in SILENT:
            continue
        if keyword == "$ref":
            found += validate(value, resolve(root, wanted), root, place)
        elif keyword == "properties":
            for name in wanted.keys() & value.keys():
                found += validate(value[name], wanted[name], root,
                                  f"{place}.{name}")
        elif keyword == "items":
            for index, item in enumerate(value):
                found += validate(item, wanted, root, f"{place}[{index}]")
        elif keyword not in CHECKS:
            found.append(f"schema: unknown keyword {keyword}")
        elif not CHECKS[keyword](value, wanted):
            return found + [f"{place}: {keyword} {wanted!r} does not hold"]
    return found


def complaints(value, schema):
    found = validate(value, schema)
    try:
        import jsonschema
    except ImportError:
        return found
    validator = jsonschema.Draft202012Validator(schema)
    return found + [str(error) for error in validator.iter_errors(value)]
