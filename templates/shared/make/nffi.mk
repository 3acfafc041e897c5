# Where the OpenResty of this project is: .nffi/openresty, a link that `nffi new-runtime` has made, or a
# directory that `nffi build` has filled here. NFFI_PREFIX=DIR sets the link.
PRODUCT := .nffi/openresty
NFFI := $(PRODUCT)/nffi
NGINX := $(NFFI)/bin/nffi-nginx

ifneq ($(NFFI_PREFIX),)
# the link is left alone where it leads there already; a directory is not replaced
LINKED := $(shell mkdir -p .nffi && to=$$(cd "$(NFFI_PREFIX)" && pwd) && \
    { [ "$$to" -ef $(PRODUCT) ] || { [ -L $(PRODUCT) ] || [ ! -e $(PRODUCT) ]; } && \
    ln -sfn "$$to" $(PRODUCT); } && echo yes)
ifneq ($(LINKED),yes)
$(error cannot link $(PRODUCT) to NFFI_PREFIX=$(NFFI_PREFIX))
endif
# for nffi-nginx and the packages, which would prefer it to the link
unexport NFFI_PREFIX
endif

ifeq ($(wildcard $(NFFI)/nffi.json)$(filter clean,$(MAKECMDGOALS)),)
$(error no OpenResty in $(PRODUCT): run `nffi build` here, or `make NFFI_PREFIX=DIR` with a build elsewhere)
endif
