"""Codes of nffi.h that Python code looks at."""

OK = 0
INVALID = -1
STALE = -3
CLOSED = -5
ABI_MISMATCH = -6
NOT_A_PROCESS = -9
WOULD_BLOCK = -10
CANCELLED = -11

#: enum nffi_log_level
ERROR, WARN, NOTICE, INFO, DEBUG = 1, 2, 3, 4, 5
