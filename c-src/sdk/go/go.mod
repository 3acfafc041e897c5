module nffi

go 1.19
