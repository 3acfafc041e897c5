//! Finds numbers that JSON does not have: serde_json writes `null` for NaN and the infinities.

use serde::ser::{self, Serialize};
use std::fmt::{self, Display};

/// Serialized values hold such a number only where their text holds this.
const SUSPECT: &[u8] = b"null";

/// Returns an error with the path of a number in `value` that is not finite. `text` is its JSON.
pub(crate) fn check<T: Serialize + ?Sized>(value: &T, text: &[u8]) -> Result<(), NotFinite> {
    if !text.windows(SUSPECT.len()).any(|part| part == SUSPECT) {
        return Ok(());
    }
    value.serialize(&mut Walk { path: String::from("result") })
}

#[derive(Debug)]
pub(crate) struct NotFinite(String);

impl Display for NotFinite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NotFinite {}

impl ser::Error for NotFinite {
    fn custom<T: Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

/// A serializer that writes nothing.
struct Walk {
    path: String,
}

impl Walk {
    fn float(&self, value: f64) -> Result<(), NotFinite> {
        if value.is_finite() {
            return Ok(());
        }
        Err(NotFinite(format!("{} is {}, which JSON does not have", self.path, value)))
    }

    /// Walks a part of the value, whose name is appended to the path meanwhile.
    fn part<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Result<(), NotFinite> {
        let length = self.path.len();
        self.path.push_str(name);
        let result = value.serialize(&mut *self);
        self.path.truncate(length);
        result
    }

    fn parts(&mut self) -> Result<Parts<'_>, NotFinite> {
        Ok(Parts { walk: self, index: 0, key: String::new() })
    }
}

/// The parts of a list, map or struct.
struct Parts<'a> {
    walk: &'a mut Walk,
    index: usize,
    key: String,
}

impl Parts<'_> {
    fn item<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), NotFinite> {
        let name = format!("[{}]", self.index);
        self.index += 1;
        self.walk.part(&name, value)
    }

    fn field<T: Serialize + ?Sized>(&mut self, key: &str, value: &T) -> Result<(), NotFinite> {
        self.walk.part(&format!(".{}", key), value)
    }
}

macro_rules! nothing_in {
    ($($name:ident($type:ty))*) => {
        $(fn $name(self, _: $type) -> Result<(), NotFinite> {
            Ok(())
        })*
    };
}

impl<'a> ser::Serializer for &'a mut Walk {
    type Ok = ();
    type Error = NotFinite;
    type SerializeSeq = Parts<'a>;
    type SerializeTuple = Parts<'a>;
    type SerializeTupleStruct = Parts<'a>;
    type SerializeTupleVariant = Parts<'a>;
    type SerializeMap = Parts<'a>;
    type SerializeStruct = Parts<'a>;
    type SerializeStructVariant = Parts<'a>;

    nothing_in! {
        serialize_bool(bool) serialize_char(char) serialize_str(&str) serialize_bytes(&[u8])
        serialize_i8(i8) serialize_i16(i16) serialize_i32(i32) serialize_i64(i64)
        serialize_u8(u8) serialize_u16(u16) serialize_u32(u32) serialize_u64(u64)
        serialize_i128(i128) serialize_u128(u128) serialize_unit_struct(&'static str)
    }

    fn serialize_f32(self, value: f32) -> Result<(), NotFinite> {
        self.float(value.into())
    }

    fn serialize_f64(self, value: f64) -> Result<(), NotFinite> {
        self.float(value)
    }

    fn serialize_none(self) -> Result<(), NotFinite> {
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), NotFinite> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), NotFinite> {
        Ok(())
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
    ) -> Result<(), NotFinite> {
        Ok(())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), NotFinite> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), NotFinite> {
        self.part(&format!(".{}", variant), value)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Parts<'a>, NotFinite> {
        self.parts()
    }

    fn serialize_tuple(self, _: usize) -> Result<Parts<'a>, NotFinite> {
        self.parts()
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Parts<'a>, NotFinite> {
        self.parts()
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Parts<'a>, NotFinite> {
        self.parts()
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Parts<'a>, NotFinite> {
        self.parts()
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Parts<'a>, NotFinite> {
        self.parts()
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Parts<'a>, NotFinite> {
        self.parts()
    }
}

macro_rules! items_of {
    ($($kind:ident::$method:ident)*) => {
        $(impl ser::$kind for Parts<'_> {
            type Ok = ();
            type Error = NotFinite;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), NotFinite> {
                self.item(value)
            }

            fn end(self) -> Result<(), NotFinite> {
                Ok(())
            }
        })*
    };
}

items_of! {
    SerializeSeq::serialize_element
    SerializeTuple::serialize_element
    SerializeTupleStruct::serialize_field
    SerializeTupleVariant::serialize_field
}

macro_rules! fields_of {
    ($($kind:ident)*) => {
        $(impl ser::$kind for Parts<'_> {
            type Ok = ();
            type Error = NotFinite;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                key: &'static str,
                value: &T,
            ) -> Result<(), NotFinite> {
                self.field(key, value)
            }

            fn end(self) -> Result<(), NotFinite> {
                Ok(())
            }
        })*
    };
}

fields_of! { SerializeStruct SerializeStructVariant }

impl ser::SerializeMap for Parts<'_> {
    type Ok = ();
    type Error = NotFinite;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), NotFinite> {
        let text = serde_json::to_string(key).unwrap_or_default();
        self.key = text.trim_matches('"').to_owned();
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), NotFinite> {
        let key = std::mem::take(&mut self.key);
        self.field(&key, value)
    }

    fn end(self) -> Result<(), NotFinite> {
        Ok(())
    }
}
