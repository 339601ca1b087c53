//! The names of a section's keys, asked of the section itself.

use serde::de::value::Error;
use serde::de::{DeserializeOwned, Deserializer, Error as _, Visitor};
use serde::forward_to_deserialize_any;

/// The keys that `T` reads: what its derived `Deserialize` says that it knows.
pub(super) fn of<T: DeserializeOwned>() -> &'static [&'static str] {
    let mut names: &'static [&'static str] = &[];
    // There is nothing to read: the names were said before that was found out.
    drop(T::deserialize(Names(&mut names)));
    names
}

/// Keeps what a struct says of its fields, and answers with an error.
struct Names<'a>(&'a mut &'static [&'static str]);

impl<'de> Deserializer<'de> for Names<'_> {
    type Error = Error;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        _visitor: V,
    ) -> Result<V::Value, Error> {
        *self.0 = fields;
        Err(Error::custom("only the names were wanted"))
    }

    fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, Error> {
        Err(Error::custom("not a struct"))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Some {
        first: u32,
        second: Option<String>,
    }

    #[test]
    fn a_struct_tells_its_keys_also_those_that_may_be_left_out() {
        assert_eq!(super::of::<Some>(), ["first", "second"]);
        let Some { first, second } = Some::default();
        assert_eq!((first, second), (0, None));
    }

    #[test]
    fn what_is_no_struct_has_no_keys() {
        assert_eq!(super::of::<u32>(), [""; 0]);
    }
}
