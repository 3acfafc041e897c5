//! Returns the bytes of the request: in a thread, and in the one that takes the calls.
use nffi::{BoxError, Context, Service};

nffi::serve!(start);

fn echo(_context: &Context, data: &[u8]) -> Result<Vec<u8>, BoxError> {
    Ok(data.to_vec())
}

fn start(_config: ()) -> Result<Service, BoxError> {
    Ok(Service::new()
        .method("", nffi::bytes(echo))
        .method("inline", nffi::inline(nffi::bytes(echo))))
}
