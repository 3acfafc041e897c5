/*
 * ngx_http_lua_nffi_build_id.c - the attached glue: the build id of a loaded
 * object, by which Lua recognizes the nginx of the proof.
 */

#include "ngx_http_lua_nffi_attached.h"

#include <dlfcn.h>
#include <link.h>


typedef struct {
    const void                    *symbol;   /* NULL: the executable */
    u_char                        *id;
    size_t                         room;
    size_t                         size;
} ngx_http_lua_nffi_build_id_t;


static ngx_uint_t
ngx_http_lua_nffi_object_has(struct dl_phdr_info *info, const void *symbol)
{
    size_t             i;
    const ElfW(Phdr)  *ph = info->dlpi_phdr;

    for (i = 0; i < info->dlpi_phnum; i++) {
        if (ph[i].p_type == PT_LOAD
            && (uintptr_t) symbol - (info->dlpi_addr + ph[i].p_vaddr)
               < ph[i].p_memsz)
        {
            return 1;
        }
    }

    return 0;
}


static void
ngx_http_lua_nffi_read_notes(ngx_http_lua_nffi_build_id_t *wanted,
    const u_char *note, const u_char *end)
{
    const u_char      *id;
    const ElfW(Nhdr)  *header;

    while (note + sizeof(*header) <= end) {
        header = (const ElfW(Nhdr) *) note;
        id = note + sizeof(*header) + ngx_align(header->n_namesz, 4);

        if (header->n_type == NT_GNU_BUILD_ID && header->n_namesz == 4
            && ngx_memcmp(id - 4, "GNU", 4) == 0
            && wanted->room >= 2 * header->n_descsz)
        {
            (void) ngx_hex_dump(wanted->id, (u_char *) id, header->n_descsz);
            wanted->size = 2 * header->n_descsz;
            return;
        }

        note = id + ngx_align(header->n_descsz, 4);
    }
}


/* the executable is the first object */

static int
ngx_http_lua_nffi_find_build_id(struct dl_phdr_info *info, size_t size,
    void *data)
{
    size_t                         i;
    const u_char                  *note;
    const ElfW(Phdr)              *ph = info->dlpi_phdr;
    ngx_http_lua_nffi_build_id_t  *wanted = data;

    (void) size;

    if (wanted->symbol && !ngx_http_lua_nffi_object_has(info, wanted->symbol)) {
        return 0;
    }

    for (i = 0; i < info->dlpi_phnum && wanted->size == 0; i++) {
        if (ph[i].p_type == PT_NOTE) {
            note = (const u_char *) (info->dlpi_addr + ph[i].p_vaddr);
            ngx_http_lua_nffi_read_notes(wanted, note, note + ph[i].p_memsz);
        }
    }

    return 1;
}


size_t
ngx_http_lua_nonblocking_ffi_build_id(const char *symbol, u_char *id,
    size_t size)
{
    ngx_http_lua_nffi_build_id_t  wanted = { NULL, id, size, 0 };

    if (symbol) {
        wanted.symbol = dlsym(RTLD_DEFAULT, symbol);

        if (wanted.symbol == NULL) {
            return 0;
        }
    }

    (void) dl_iterate_phdr(ngx_http_lua_nffi_find_build_id, &wanted);

    return wanted.size;
}
