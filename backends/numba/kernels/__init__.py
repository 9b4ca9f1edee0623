"""Hot loops of the numba backend, one file per kind; every function is compiled and called from compiled code.

Rules of the folder: no allocation, no fast-math flag, no address or size in the code. Bounds and overflow are the
caller's business; the docstrings say what has to hold. Inside a loop stand intrinsics only, no compiled helper that
takes arrays: numba counts the references of arguments, 10 to 20 ns a call, and threads fight for the counters.
"""
