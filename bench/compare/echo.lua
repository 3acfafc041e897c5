-- What ngx.run_worker_thread() calls in a thread of nginx's pool.
return {
    echo = function(bytes)
        return bytes
    end,
}
