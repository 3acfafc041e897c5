# Makefile of a Lua library whose files come from a binary package: takes the
# variables that the library's own Makefile takes, installs all of lib/.

LUA_LIB_DIR ?= /usr/local/lib/lua
INSTALL ?= install

.PHONY: all install

all: ;

install: all
	cd lib && find . -name '*.lua' | while read -r file; do \
		$(INSTALL) -D -m 644 "$$file" \
			"$(DESTDIR)$(LUA_LIB_DIR)/$$file" || exit 1; \
	done
