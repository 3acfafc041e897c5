module example.com/nffi/bench-ffi

go 1.19
