//! The configuration that Lua passes to nffi.load as `config`.

use crate::error::BoxError;

/// What a configuration can be read as: `()` if there is none, `String` and `Vec<u8>` as it is, and,
/// with the feature `serde`, [`Json`](crate::Json). It is read while nginx waits, and its error is
/// one of `nffi.load`.
pub trait Configuration: Sized {
    /// Reads the bytes, `None` if Lua passed no configuration.
    fn read(bytes: &[u8]) -> Result<Self, BoxError>;
}

impl Configuration for () {
    fn read(bytes: &[u8]) -> Result<Self, BoxError> {
        if bytes.is_empty() {
            Ok(())
        } else {
            Err("this runtime takes no configuration".into())
        }
    }
}

impl Configuration for Vec<u8> {
    fn read(bytes: &[u8]) -> Result<Self, BoxError> {
        Ok(bytes.to_vec())
    }
}

impl Configuration for String {
    fn read(bytes: &[u8]) -> Result<Self, BoxError> {
        Ok(std::str::from_utf8(bytes)
            .map_err(|error| format!("the configuration is no text: {}", error))?
            .to_owned())
    }
}
