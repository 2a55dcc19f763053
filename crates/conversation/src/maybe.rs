//! A message that may be absent and may grow, for `#[serde(with = "maybe")]`: a list of none or one.

use pillion_proto::growing::list;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub fn serialize<T: Serialize, S: Serializer>(value: &Option<T>, to: S) -> Result<S::Ok, S::Error> {
    list::serialize(value.as_slice(), to)
}

pub fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    from: D,
) -> Result<Option<T>, D::Error> {
    Ok(list::deserialize(from)?.pop())
}
