module example.com/nffi/go-echo

go 1.19
