/*
 * ddebug.h - stands in for ngx_lua's header of this name where the glue is
 * compiled without ngx_lua. No file of the glue prints with it.
 */
