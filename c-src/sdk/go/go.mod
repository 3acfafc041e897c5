// A name that can be downloaded from nowhere: go.mod files replace it by this directory.
module nffi.local/nffi

go 1.19
