//! How a message gains fields without a new version of the protocol.
//!
//! A message is its fields one after the other (postcard), and the framer knows where it ends. So fields
//! are only ever added behind the last one, marked `#[serde(default)]`: a reader takes a field that is
//! not there as its default ("not said"), and leaves alone what comes behind the last field it knows.
//! What stands inside of a message and may grow too (an entry of a list) is a message of its own, its
//! length before it: `one` and `list`.

use std::fmt;

use serde::{
    de::{self, DeserializeSeed, Deserializer, SeqAccess, Visitor},
    forward_to_deserialize_any,
};

/// Reads a message of a version that may know fewer fields, or more.
///
/// # Errors
/// Bytes that are no such message: a field without a default is missing or cut, or a value is out of
/// its bounds.
pub fn from_bytes<'de, T: de::Deserialize<'de>>(bytes: &'de [u8]) -> Result<T, postcard::Error> {
    T::deserialize(Message { bytes })
}

struct Message<'de> {
    bytes: &'de [u8],
}

impl<'de> Deserializer<'de> for Message<'de> {
    type Error = postcard::Error;

    /// Only what has fields can gain some.
    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, postcard::Error> {
        Err(postcard::Error::WontImplement)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, postcard::Error> {
        visitor.visit_seq(Fields { rest: self.bytes })
    }

    fn is_human_readable(&self) -> bool {
        false
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

/// What is left of a message.
struct Fields<'de> {
    rest: &'de [u8],
}

impl<'de> SeqAccess<'de> for Fields<'de> {
    type Error = postcard::Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, postcard::Error> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let mut field = postcard::Deserializer::from_bytes(self.rest);
        let value = seed.deserialize(&mut field)?;
        self.rest = field.finalize()?;
        Ok(Some(value))
    }
}

/// A message within a message, for `#[serde(with = "growing::one")]`: its length, and its bytes.
pub mod one {
    use super::*;
    use serde::{Serialize, Serializer, ser};

    /// Writes it.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<T: Serialize, S: Serializer>(value: &T, to: S) -> Result<S::Ok, S::Error> {
        let bytes = postcard::to_allocvec(value).map_err(ser::Error::custom)?;
        to.serialize_bytes(&bytes)
    }

    /// Reads it.
    ///
    /// # Errors
    /// Anything else.
    pub fn deserialize<'de, T: de::Deserialize<'de>, D: Deserializer<'de>>(
        from: D,
    ) -> Result<T, D::Error> {
        from.deserialize_bytes(Inner(std::marker::PhantomData))
    }

    struct Inner<T>(std::marker::PhantomData<T>);

    impl<'de, T: de::Deserialize<'de>> Visitor<'de> for Inner<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a message within a message")
        }

        fn visit_borrowed_bytes<E: de::Error>(self, bytes: &'de [u8]) -> Result<T, E> {
            from_bytes(bytes).map_err(E::custom)
        }
    }
}

/// Messages within a message, for `#[serde(with = "growing::list")]`: how many, then each as by [`one`].
pub mod list {
    use super::*;
    use serde::{Deserialize, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    #[serde(bound(serialize = "T: Serialize", deserialize = "T: Deserialize<'de>"))]
    struct Item<T>(#[serde(with = "super::one")] T);

    #[derive(Serialize)]
    #[serde(bound(serialize = "T: Serialize"))]
    struct ItemRef<'a, T>(#[serde(serialize_with = "by_ref")] &'a T);

    fn by_ref<T: Serialize, S: Serializer>(value: &&T, to: S) -> Result<S::Ok, S::Error> {
        super::one::serialize(*value, to)
    }

    /// Writes them.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<T: Serialize, S: Serializer>(values: &[T], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(values.iter().map(ItemRef))
    }

    /// Reads them.
    ///
    /// # Errors
    /// Anything else.
    pub fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Vec<T>, D::Error> {
        let items = Vec::<Item<T>>::deserialize(from)?;
        Ok(items.into_iter().map(|Item(value)| value).collect())
    }
}

/// What may be of a kind that the reader does not know, for `#[serde(with = "growing::known")]`: its length, then its
/// number and fields. One that can't be read is `None`, and the message goes on behind it.
pub mod known {
    use super::*;
    use serde::{Serialize, Serializer, ser};

    /// Writes it.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<T: Serialize, S: Serializer>(
        value: &Option<T>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        let bytes = match value {
            Some(value) => postcard::to_allocvec(value).map_err(ser::Error::custom)?,
            None => Vec::new(),
        };
        to.serialize_bytes(&bytes)
    }

    /// Reads it.
    ///
    /// # Errors
    /// The message is cut.
    pub fn deserialize<'de, T: de::Deserialize<'de>, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<T>, D::Error> {
        from.deserialize_bytes(Inner(std::marker::PhantomData))
    }

    struct Inner<T>(std::marker::PhantomData<T>);

    impl<'de, T: de::Deserialize<'de>> Visitor<'de> for Inner<T> {
        type Value = Option<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("what may not be known")
        }

        fn visit_borrowed_bytes<E: de::Error>(self, bytes: &'de [u8]) -> Result<Option<T>, E> {
            Ok(postcard::from_bytes(bytes).ok())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::{Deserialize, Serialize};

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Old {
        a: u32,
        #[serde(with = "list")]
        items: Vec<OldItem>,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct OldItem {
        x: u8,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct New {
        a: u32,
        #[serde(with = "list")]
        items: Vec<NewItem>,
        #[serde(default)]
        b: Option<u64>,
        #[serde(default)]
        c: String,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct NewItem {
        x: u8,
        #[serde(default)]
        y: u16,
    }

    #[test]
    fn a_reader_that_knows_less_skips_the_rest() {
        let items = vec![NewItem { x: 1, y: 2 }, NewItem { x: 3, y: 4 }];
        let new = New {
            a: 300,
            items,
            b: Some(9),
            c: "c".to_owned(),
        };
        let old: Old = from_bytes(&postcard::to_allocvec(&new).unwrap()).unwrap();
        let items = vec![OldItem { x: 1 }, OldItem { x: 3 }];
        assert_eq!(old, Old { a: 300, items });
    }

    #[test]
    fn a_reader_that_knows_more_takes_what_is_absent_as_not_said() {
        let old = Old {
            a: 7,
            items: vec![OldItem { x: 5 }],
        };
        let new: New = from_bytes(&postcard::to_allocvec(&old).unwrap()).unwrap();
        let items = vec![NewItem { x: 5, y: 0 }];
        assert_eq!(
            new,
            New {
                a: 7,
                items,
                b: None,
                c: String::new()
            }
        );
    }

    #[test]
    fn a_field_that_is_cut_or_must_be_there_is_refused() {
        let old = Old {
            a: 300,
            items: vec![OldItem { x: 5 }],
        };
        let bytes = postcard::to_allocvec(&old).unwrap();
        for cut in 0..bytes.len() {
            assert!(from_bytes::<Old>(&bytes[..cut]).is_err(), "{cut}");
        }
    }
}
