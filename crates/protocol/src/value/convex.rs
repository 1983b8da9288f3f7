//! The types that Convex clients know, and their two JSON forms.

use super::{EXACT, integral};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Number, Value};
use std::collections::BTreeMap;

/// The longest name of a field.
const NAME_LENGTH: usize = 1024;

/// A value that stands on the wire.
#[derive(Clone, Debug, PartialEq)]
pub enum ConvexValue {
    /// `null`
    Null,
    /// `true` or `false`
    Boolean(bool),
    /// `bigint` in JavaScript, `Value::Int64` in Rust, `ConvexInt64` in Python.
    Int64(i64),
    /// The everyday number.
    Float64(f64),
    /// Text.
    String(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// A list.
    Array(Vec<ConvexValue>),
    /// Fields by name.
    Object(BTreeMap<String, ConvexValue>),
}

/// What makes JSON no value of the wire.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadValue {
    /// Names have at most 1024 characters, only printable ASCII, and no leading `$`.
    #[error("the field name {0:?} is not allowed: at most 1024 printable ASCII characters, the first not \"$\"")]
    Name(String),
    /// A tagged value whose content does not fit its tag.
    #[error("the value of {tag:?} is not {wanted}")]
    Tag {
        /// The tag.
        tag: &'static str,
        /// What it wants.
        wanted: &'static str,
    },
    /// `$set` and `$map` existed once.
    #[error("values of type {0:?} are not supported any more")]
    Gone(String),
    /// A number that the other side cannot hold.
    #[error("the number {0} cannot be represented")]
    Number(String),
}

impl ConvexValue {
    /// Reads the encoded form. A tag counts only in an object of exactly one field.
    ///
    /// # Errors
    /// What the encoded form does not allow.
    pub fn from_encoded(json: &Value) -> Result<Self, BadValue> {
        if let Value::Object(fields) = json
            && fields.len() == 1
            && let Some((name, content)) = fields.iter().next()
            && name.starts_with('$')
        {
            return Self::from_tagged(name, content);
        }
        read(json, &|number| number.as_f64().map(Self::Float64), &Self::from_encoded)
    }

    /// The encoded form.
    ///
    /// # Errors
    /// A field name that is not allowed.
    pub fn to_encoded(&self) -> Result<Value, BadValue> {
        let tagged = |tag: &str, bytes: &[u8]| {
            Value::Object(Map::from_iter([(tag.to_owned(), Value::String(STANDARD.encode(bytes)))]))
        };
        match self {
            Self::Int64(number) => Ok(tagged("$integer", &number.to_le_bytes())),
            Self::Float64(float) if is_special(*float) => Ok(tagged("$float", &float.to_le_bytes())),
            Self::Bytes(bytes) => Ok(tagged("$bytes", bytes)),
            other => other.write(&Self::to_encoded),
        }
    }

    /// Reads the clean form, which knows neither int64 nor bytes nor special floats: they are text.
    ///
    /// # Errors
    /// A field name that is not allowed.
    pub fn from_clean(json: &Value) -> Result<Self, BadValue> {
        read(json, &|number| number.as_f64().map(Self::Float64), &Self::from_clean)
    }

    /// The clean form, for scripts and people: int64 as a decimal text, bytes as base64 text, special floats as words, whole
    /// numbers without a decimal point.
    ///
    /// # Errors
    /// A field name that is not allowed.
    pub fn to_clean(&self) -> Result<Value, BadValue> {
        match self {
            Self::Int64(number) => Ok(Value::String(number.to_string())),
            Self::Float64(float) if float.is_nan() => Ok("NaN".into()),
            Self::Float64(float) if float.is_infinite() => {
                Ok(if *float > 0.0 { "Infinity" } else { "-Infinity" }.into())
            }
            Self::Float64(float) if !is_special(*float) && integral(*float).is_some() => {
                Ok(integral(*float).map_or(Value::Null, Value::from))
            }
            Self::Bytes(bytes) => Ok(Value::String(STANDARD.encode(bytes))),
            other => other.write(&Self::to_clean),
        }
    }

    /// Reads plain JSON as serde writes it: integers are floats while those hold them exactly, int64 beyond.
    ///
    /// # Errors
    /// A field name that is not allowed, or an integer beyond int64.
    pub fn from_plain(json: &Value) -> Result<Self, BadValue> {
        #[allow(clippy::cast_precision_loss, reason = "the range was checked")]
        let number = |number: &Number| match number.as_i64() {
            Some(integer) if (integer as f64).abs() < EXACT => Some(Self::Float64(integer as f64)),
            Some(integer) => Some(Self::Int64(integer)),
            None if number.is_u64() => None,
            None => number.as_f64().map(Self::Float64),
        };
        read(json, &number, &Self::from_plain)
    }

    /// Plain JSON for typed deserialisation: integral floats are integers, bytes are base64 text.
    ///
    /// # Errors
    /// A number that plain JSON does not have.
    pub fn to_plain(&self) -> Result<Value, BadValue> {
        match self {
            Self::Int64(number) => Ok(Value::from(*number)),
            Self::Float64(float) => match integral(*float) {
                Some(integer) => Ok(Value::from(integer)),
                None => finite(*float),
            },
            Self::Bytes(bytes) => Ok(Value::String(STANDARD.encode(bytes))),
            other => other.write(&Self::to_plain),
        }
    }

    fn from_tagged(name: &str, content: &Value) -> Result<Self, BadValue> {
        let bytes = |tag| {
            let bytes = content.as_str().and_then(|text| STANDARD.decode(text).ok());
            bytes.ok_or(BadValue::Tag { tag, wanted: "bytes in padded base64" })
        };
        let eight = |tag| bytes(tag)?.try_into().map_err(|_| BadValue::Tag { tag, wanted: "8 bytes" });
        match name {
            "$integer" => Ok(Self::Int64(i64::from_le_bytes(eight("$integer")?))),
            "$bytes" => Ok(Self::Bytes(bytes("$bytes")?)),
            "$float" => {
                let float = f64::from_le_bytes(eight("$float")?);
                let refused = BadValue::Tag { tag: "$float", wanted: "-0, NaN or an infinity" };
                if is_special(float) { Ok(Self::Float64(float)) } else { Err(refused) }
            }
            "$set" | "$map" => Err(BadValue::Gone(name.to_owned())),
            _ => Err(BadValue::Name(name.to_owned())),
        }
    }

    /// Everything that stands for itself in every form.
    fn write(&self, inner: &impl Fn(&Self) -> Result<Value, BadValue>) -> Result<Value, BadValue> {
        Ok(match self {
            Self::Null => Value::Null,
            Self::Boolean(truth) => Value::Bool(*truth),
            Self::Float64(float) => finite(*float)?,
            Self::String(text) => Value::String(text.clone()),
            Self::Array(items) => Value::Array(items.iter().map(inner).collect::<Result<_, _>>()?),
            Self::Object(fields) => {
                let field = |(name, field): (&String, _)| Ok((allowed(name)?.clone(), inner(field)?));
                Value::Object(fields.iter().map(field).collect::<Result<_, _>>()?)
            }
            Self::Int64(number) => Value::from(*number),
            Self::Bytes(bytes) => Value::String(STANDARD.encode(bytes)),
        })
    }
}

fn read(
    json: &Value,
    number: &impl Fn(&Number) -> Option<ConvexValue>,
    inner: &impl Fn(&Value) -> Result<ConvexValue, BadValue>,
) -> Result<ConvexValue, BadValue> {
    Ok(match json {
        Value::Null => ConvexValue::Null,
        Value::Bool(truth) => ConvexValue::Boolean(*truth),
        Value::Number(found) => number(found).ok_or_else(|| BadValue::Number(found.to_string()))?,
        Value::String(text) => ConvexValue::String(text.clone()),
        Value::Array(items) => ConvexValue::Array(items.iter().map(inner).collect::<Result<_, _>>()?),
        Value::Object(fields) => {
            let field = |(name, field): (&String, _)| Ok((allowed(name)?.clone(), inner(field)?));
            ConvexValue::Object(fields.iter().map(field).collect::<Result<_, _>>()?)
        }
    })
}

fn allowed(name: &String) -> Result<&String, BadValue> {
    let fits = name.len() <= NAME_LENGTH && !name.starts_with('$') && name.bytes().all(|byte| matches!(byte, 32..=126));
    if fits { Ok(name) } else { Err(BadValue::Name(name.clone())) }
}

/// What JSON does not have, or would lose.
fn is_special(float: f64) -> bool {
    !float.is_finite() || (float == 0.0 && float.is_sign_negative())
}

fn finite(float: f64) -> Result<Value, BadValue> {
    Number::from_f64(float).map(Value::Number).ok_or_else(|| BadValue::Number(float.to_string()))
}

#[cfg(test)]
mod tests {
    use super::{BadValue, ConvexValue};
    use proptest::prelude::*;
    use serde_json::{Value, json};

    #[test]
    fn tags_count_only_alone() {
        let read = |json: Value| ConvexValue::from_encoded(&json);
        assert_eq!(read(json!({"$integer": "BwAAAAAAAAA="})), Ok(ConvexValue::Int64(7)));
        assert_eq!(read(json!({"$bytes": "AQI="})), Ok(ConvexValue::Bytes(vec![1, 2])));
        for refused in [
            json!({"$integer": "BwAAAAAAAAA=", "x": 1}),
            json!({"$integer": "BwA="}),
            json!({"$integer": 7}),
            json!({"$float": "AAAAAAAA8D8="}),
            json!({"$bytes": "AQI"}),
            json!({"$set": []}),
            json!({"$map": []}),
            json!({"$undefined": null}),
            json!({"ä": 1}),
            json!({"a\n": 1}),
            json!({"x".repeat(1025): 1}),
        ] {
            assert!(read(refused.clone()).is_err(), "{refused}");
        }
        for allowed in [json!({"": 1}), json!({"_x": 1}), json!({"a$": 1}), json!({"x".repeat(1024): 1})] {
            assert!(read(allowed.clone()).is_ok(), "{allowed}");
        }
    }

    #[test]
    fn special_floats_are_tagged_or_words() {
        let special =
            [(-0.0, json!(-0.0)), (f64::INFINITY, json!("Infinity")), (f64::NEG_INFINITY, json!("-Infinity"))];
        for (float, clean) in special {
            let value = ConvexValue::Float64(float);
            let encoded = value.to_encoded().unwrap();
            assert!(encoded["$float"].is_string());
            let ConvexValue::Float64(back) = ConvexValue::from_encoded(&encoded).unwrap() else { panic!("a float") };
            assert_eq!(back.to_bits(), float.to_bits());
            assert_eq!(value.to_clean().unwrap().to_string(), clean.to_string());
        }
        let nan = ConvexValue::Float64(f64::NAN);
        assert_eq!(nan.to_clean().unwrap(), json!("NaN"));
        assert!(ConvexValue::from_encoded(&nan.to_encoded().unwrap()).unwrap().to_plain().is_err());
    }

    #[test]
    fn a_name_that_clients_cannot_read_never_leaves() {
        for name in ["$x", "ü", "a\tb"] {
            let value = ConvexValue::Object([(name.to_owned(), ConvexValue::Null)].into());
            assert_eq!(value.to_encoded(), Err(BadValue::Name(name.to_owned())));
            assert_eq!(value.to_clean(), Err(BadValue::Name(name.to_owned())));
        }
    }

    fn value() -> impl Strategy<Value = ConvexValue> {
        let leaf = prop_oneof![
            Just(ConvexValue::Null),
            any::<bool>().prop_map(ConvexValue::Boolean),
            any::<i64>().prop_map(ConvexValue::Int64),
            any::<f64>().prop_filter("equal to itself", |float| !float.is_nan()).prop_map(ConvexValue::Float64),
            prop::sample::select(vec![-0.0, f64::INFINITY, f64::NEG_INFINITY]).prop_map(ConvexValue::Float64),
            ".{0,12}".prop_map(ConvexValue::String),
            prop::collection::vec(any::<u8>(), 0..20).prop_map(ConvexValue::Bytes),
        ];
        leaf.prop_recursive(4, 64, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(ConvexValue::Array),
                prop::collection::btree_map("([ -#%-~][ -~]{0,6})?", inner, 0..6).prop_map(ConvexValue::Object),
            ]
        })
    }

    proptest! {
        #[test]
        fn every_value_survives_the_encoded_form(value in value()) {
            let text = value.to_encoded().unwrap().to_string();
            let back = ConvexValue::from_encoded(&serde_json::from_str(&text).unwrap()).unwrap();
            prop_assert_eq!(back.to_encoded().unwrap().to_string(), text);
            prop_assert_eq!(back, value);
        }

        #[test]
        fn the_clean_form_is_stable(value in value()) {
            let clean = value.to_clean().unwrap();
            prop_assert_eq!(ConvexValue::from_clean(&clean).unwrap().to_clean().unwrap(), clean);
        }

        #[test]
        fn no_json_makes_the_reader_panic(text in r#"[\[\]{}":,$a-z0-9.eE-]{0,40}"#) {
            if let Ok(json) = serde_json::from_str::<Value>(&text)
                && let Ok(value) = ConvexValue::from_encoded(&json)
            {
                prop_assert_eq!(ConvexValue::from_encoded(&value.to_encoded().unwrap()).unwrap(), value);
            }
        }
    }
}
