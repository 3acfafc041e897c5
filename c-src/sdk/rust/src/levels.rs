//! Writes JSON of a bounded depth: serde_json would use up the stack and end the process.

use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter, Serializer};
use std::io::{self, Write};

/// Levels of lists and objects that Lua decodes.
const MAX_LEVELS: usize = 1000;

/// Appends `value` to `text`.
pub(crate) fn append<T: Serialize + ?Sized>(
    text: &mut Vec<u8>,
    value: &T,
) -> Result<(), serde_json::Error> {
    value.serialize(&mut Serializer::with_formatter(text, Levels { inside: 0 }))
}

struct Levels {
    inside: usize,
}

impl Levels {
    fn enter(&mut self) -> io::Result<()> {
        self.inside += 1;
        if self.inside <= MAX_LEVELS {
            return Ok(());
        }
        Err(io::Error::new(
            io::ErrorKind::Other,
            format!("nested deeper than {} levels", MAX_LEVELS),
        ))
    }
}

impl Formatter for Levels {
    fn begin_array<W: Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.enter()?;
        CompactFormatter.begin_array(writer)
    }

    fn end_array<W: Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.inside -= 1;
        CompactFormatter.end_array(writer)
    }

    fn begin_object<W: Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.enter()?;
        CompactFormatter.begin_object(writer)
    }

    fn end_object<W: Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.inside -= 1;
        CompactFormatter.end_object(writer)
    }
}
