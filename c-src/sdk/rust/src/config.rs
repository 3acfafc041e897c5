//! The configuration that Lua passes to nffi.load as `config`.

use crate::error::BoxError;

/// Types that a configuration can be read as: `()` if there is none, `String` and `Vec<u8>`
/// unchanged, and, with the feature `serde`, [`Json`](crate::Json). It is read while nginx waits,
/// and `nffi.load` returns its error.
pub trait FromConfig: Sized {
    /// Reads the bytes; none if Lua passed no configuration.
    fn from_config(bytes: &[u8]) -> Result<Self, BoxError>;
}

impl FromConfig for () {
    fn from_config(bytes: &[u8]) -> Result<Self, BoxError> {
        if bytes.is_empty() {
            Ok(())
        } else {
            Err("this runtime takes no configuration".into())
        }
    }
}

impl FromConfig for Vec<u8> {
    fn from_config(bytes: &[u8]) -> Result<Self, BoxError> {
        Ok(bytes.to_vec())
    }
}

impl FromConfig for String {
    fn from_config(bytes: &[u8]) -> Result<Self, BoxError> {
        Ok(std::str::from_utf8(bytes)
            .map_err(|error| format!("the configuration is not text: {}", error))?
            .to_owned())
    }
}
