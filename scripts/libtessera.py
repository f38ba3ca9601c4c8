# SPDX-License-Identifier: Apache-2.0
"""The part of tessera.h that tests and benchmarks in Python call, by ctypes.

Names are the header's without "tessera_"; failures raise Error with the
library's message. Pointers are integers (addresses), host arrays are numpy's.
No binding for applications: it checks nothing that the library does not check.
"""
import ctypes
from ctypes import POINTER, byref, c_char_p, c_int, c_int32, c_int64
from ctypes import c_size_t, c_uint32, c_uint64, c_void_p

TYPES = ("f32", "f16", "bf16")  # tessera_dtype


class _Error(ctypes.Structure):
    _fields_ = [("status", c_int), ("native", c_int32),
                ("message", ctypes.c_char * 480)]


class _DeviceOptions(ctypes.Structure):
    _fields_ = [("size", c_size_t), ("thread_count", c_uint32),
                ("variant", c_char_p), ("weights", c_int),
                ("context", c_void_p)]


class LayerInfo(ctypes.Structure):
    _fields_ = ([("size", c_size_t), ("name", c_char_p),
                 ("symbol", c_char_p)] +
                [(name, c_uint32) for name in (
                    "rows", "columns", "output_columns", "tile_rows",
                    "tile_columns")] +
                [(name, c_int) for name in (
                    "weight_type", "input_type", "output_type")] +
                [("activation", c_char_p), ("has_bias", c_int),
                 ("has_residual", c_int)] +
                [(name, c_uint64) for name in (
                    "dense_tiles", "sparse24_tiles", "zero_tiles",
                    "kept_weights", "dense_bytes", "packed_bytes")] +
                [(name, c_uint32) for name in (
                    "worker_count", "token_first", "token_last")])


class RunArgs(ctypes.Structure):
    _fields_ = [("size", c_size_t), ("token_count", c_uint32),
                ("input", c_void_p), ("input_stride", c_int64),
                ("residual", c_void_p), ("residual_stride", c_int64),
                ("output", c_void_p), ("output_stride", c_int64),
                ("workspace", c_void_p), ("workspace_size", c_size_t),
                ("stream", c_void_p)]


class Error(RuntimeError):
    pass


# Return types where it is no status; every status function's last parameter
# is the error.
_RESULTS = {
    "device_close": None, "bundle_close": None, "program_destroy": None,
    "device_free": None, "timer_destroy": None,
    "bundle_find_layer": c_void_p, "bundle_layer": c_void_p,
    "bundle_layer_count": c_uint32, "device_description": c_char_p,
    "program_variant": c_char_p, "version": c_char_p,
}
_PARAMETERS = {
    "device_open": [c_char_p, POINTER(_DeviceOptions), POINTER(c_void_p)],
    "device_close": [c_void_p],
    "device_description": [c_void_p],
    "device_allocate": [c_void_p, c_size_t, POINTER(c_void_p)],
    "device_free": [c_void_p, c_void_p],
    "device_write": [c_void_p, c_void_p, c_void_p, c_size_t, c_void_p],
    "device_read": [c_void_p, c_void_p, c_void_p, c_size_t, c_void_p],
    "device_synchronize": [c_void_p, c_void_p],
    "bundle_open": [c_char_p, c_void_p, POINTER(c_void_p)],
    "bundle_close": [c_void_p],
    "bundle_layer_count": [c_void_p],
    "bundle_layer": [c_void_p, c_uint32],
    "bundle_find_layer": [c_void_p, c_char_p],
    "layer_query": [c_void_p, POINTER(LayerInfo)],
    "program_prepare": [c_void_p, c_void_p, POINTER(c_void_p)],
    "program_copy": [c_void_p, c_void_p, POINTER(c_void_p)],
    "program_destroy": [c_void_p],
    "program_variant": [c_void_p],
    "layer_workspace": [c_void_p, c_void_p, c_uint32, POINTER(c_size_t)],
    "workspace_init": [c_void_p, c_void_p, c_size_t, c_void_p],
    "linear_run": [c_void_p, c_void_p, POINTER(RunArgs)],
    "version": [],
}


class Library:
    """libtessera.so; library.bundle_open(...) and so on."""

    def __init__(self, path):
        self._library = ctypes.CDLL(str(path))

    def __getattr__(self, name):
        function = getattr(self._library, "tessera_" + name)
        if name in _RESULTS:
            function.argtypes = _PARAMETERS[name]
            function.restype = _RESULTS[name]
            call = function
        else:
            function.argtypes = _PARAMETERS[name] + [POINTER(_Error)]
            function.restype = c_int

            def call(*arguments):
                error = _Error()
                if function(*arguments, byref(error)) != 0:
                    raise Error(f"tessera_{name}: "
                                f"{error.message.decode(errors='replace')}")
        setattr(self, name, call)
        return call


class Bundle:
    def __init__(self, library, path):
        self.library, self.handle = library, c_void_p()
        library.bundle_open(str(path).encode(), None, byref(self.handle))

    def layer(self, name):
        found = self.library.bundle_find_layer(self.handle, name.encode())
        if found is None:
            raise Error(f"the bundle has no layer '{name}'")
        return found

    def layers(self):
        count = self.library.bundle_layer_count(self.handle)
        return [self.library.bundle_layer(self.handle, i)
                for i in range(count)]

    def query(self, layer):
        info = LayerInfo(size=ctypes.sizeof(LayerInfo))
        self.library.layer_query(layer, byref(info))
        return info

    def close(self):
        self.library.bundle_close(self.handle)


class Program:
    """A bundle made ready for a device, and memory of that device."""

    def __init__(self, bundle, device="host", context=None):
        self.library, self.bundle = bundle.library, bundle
        self.device, self.handle = c_void_p(), c_void_p()
        options = _DeviceOptions(size=ctypes.sizeof(_DeviceOptions),
                                 context=context)
        self.library.device_open(device.encode(), byref(options),
                                 byref(self.device))
        self.library.program_prepare(bundle.handle, self.device,
                                     byref(self.handle))
        self.memory = []

    def description(self):
        return self.library.device_description(self.device).decode()

    def allocate(self, size):
        out = c_void_p()
        self.library.device_allocate(self.device, size, byref(out))
        self.memory.append(out.value)
        return out.value

    def free_all(self):
        for address in self.memory:
            self.library.device_free(self.device, address)
        self.memory = []

    def write(self, address, array, stream=None):
        self.library.device_write(self.device, address,
                                  array.ctypes.data_as(c_void_p),
                                  array.nbytes, stream)

    def read(self, address, array, stream=None):
        self.library.device_read(self.device, array.ctypes.data_as(c_void_p),
                                 address, array.nbytes, stream)

    def workspace(self, layers, tokens, stream=None):
        """Address and size of what serves all |layers|, made fit for runs."""
        size, largest = c_size_t(), 0
        for layer in layers:
            self.library.layer_workspace(self.handle, layer, tokens,
                                         byref(size))
            largest = max(largest, size.value)
        address = self.allocate(largest) if largest else None
        self.library.workspace_init(self.handle, address, largest, stream)
        return address, largest

    def arguments(self, tokens, x, y, workspace, residual=None, stream=None):
        return RunArgs(size=ctypes.sizeof(RunArgs), token_count=tokens,
                       input=x, residual=residual, output=y,
                       workspace=workspace[0], workspace_size=workspace[1],
                       stream=stream)

    def run(self, layer, arguments):
        self.library.linear_run(self.handle, layer, byref(arguments))

    def close(self):
        self.free_all()
        self.library.program_destroy(self.handle)
        self.library.device_close(self.device)
