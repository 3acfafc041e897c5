//! Responses that are written where Lua will read them.

use crate::context::Context;
use crate::error::BoxError;
use crate::ffi::{Buffer, Task};
use crate::handler::{sync, Handler, Returned};
use std::io::{self, Write};

/// A handler of a function that writes its response into memory of the queue, which saves the copy
/// of a large one:
///
/// ```
/// use std::io::Write;
///
/// let handler = nffi::fill(|_context, request, output| {
///     output.reserve(2 * request.len())?;
///     output.write_all(request)?;
///     output.write_all(request)
/// });
/// ```
pub fn fill<F, E>(f: F) -> Handler
where
    F: Fn(&Context, &[u8], &mut Output<'_>) -> Result<(), E> + Send + Sync + 'static,
    E: Into<BoxError>,
{
    sync(move |context, task| {
        let mut output = Output { task, buffer: None };
        f(context, task.data(), &mut output).map_err(Into::into)?;
        Ok(match output.buffer {
            Some(buffer) => Returned::Buffer(buffer),
            None => Returned::Static(Some(&[])),
        })
    })
}

/// Where a handler of [`fill`] writes its response. It has room for what was reserved.
pub struct Output<'c> {
    task: &'c Task,
    buffer: Option<Buffer>,
}

impl Output<'_> {
    /// Makes room for this number of bytes; earlier output is discarded.
    pub fn reserve(&mut self, size: usize) -> io::Result<()> {
        // there is one for each call
        self.buffer = None;
        self.buffer = self.task.buffer(size);
        match self.buffer {
            Some(_) => Ok(()),
            None => Err(io::Error::new(
                io::ErrorKind::OutOfMemory,
                format!("there is no memory for a response of {} bytes", size),
            )),
        }
    }

    /// The response as a slice of this length, initially zeros, for code that fills a slice.
    pub fn zeroed(&mut self, size: usize) -> io::Result<&mut [u8]> {
        self.reserve(size)?;
        Ok(self.buffer.as_mut().map_or(&mut [], Buffer::zeroed))
    }
}

/// Fails with `WriteZero` when more is written than was reserved.
impl Write for Output<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(self.buffer.as_mut().map_or(0, |buffer| buffer.append(bytes)))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
