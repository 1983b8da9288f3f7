//! Values between typed Rust and the wire.
//!
//! Our own types are *plain* JSON: integers and floats as serde writes them. The wire knows the types of [`ConvexValue`], in two
//! forms: *encoded* (`convex_encoded_json`, always on the sync socket) and *clean* (`json`, lossy, for scripts). Convex clients
//! know one everyday number, float64: PyPI's HTTP client refuses `5` and wants `5.0`, and the Rust and Python clients send
//! `5.0` for what we read into an integer. So integers leave as floats and integral floats enter as integers. Times and counts
//! of this API stay below 2^53, where both are exact; what is larger leaves as int64, so nothing is ever rounded.

mod convex;

pub use convex::{BadValue, ConvexValue};

use serde_json::{Number, Value};

/// The largest integer up to which every integer is exact in a float64.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// Plain JSON in the encoded form.
///
/// # Errors
/// A field name or number that a client could not read: sent all the same, it would cost the client its whole connection.
pub fn to_encoded(plain: &Value) -> Result<Value, BadValue> {
    ConvexValue::from_plain(plain)?.to_encoded()
}

/// The encoded form (or plain JSON, which is a part of it) as plain JSON for typed deserialisation.
///
/// # Errors
/// What is no value of the wire, and numbers that plain JSON does not have.
pub fn from_encoded(encoded: &Value) -> Result<Value, BadValue> {
    ConvexValue::from_encoded(encoded)?.to_plain()
}

/// Plain JSON in the clean form.
///
/// # Errors
/// As for [`to_encoded`].
pub fn to_clean(plain: &Value) -> Result<Value, BadValue> {
    ConvexValue::from_plain(plain)?.to_clean()
}

/// JSON as one text for one meaning: fields in order of their names, whatever order they came in.
#[must_use]
pub fn canonical_text(value: &Value) -> String {
    let mut text = String::new();
    write_canonical(value, &mut text);
    text
}

/// Writes every number with a decimal point and leaves all else as it is: for arguments that we have made ourselves.
#[must_use]
pub fn encode(value: Value) -> Value {
    map_numbers(value, &|number| match number.as_f64() {
        Some(float) if !number.is_f64() => Number::from_f64(float).unwrap_or(number),
        _ => number,
    })
}

/// Turns integral floats into integers, so that typed deserialisation takes them for integer fields.
#[must_use]
pub fn normalise(value: Value) -> Value {
    map_numbers(value, &|number| match number.as_f64() {
        Some(float) if number.is_f64() => integral(float).map_or(number, Number::from),
        _ => number,
    })
}

/// The integer that a float is, if it is one and exactly that one.
#[allow(clippy::cast_possible_truncation, reason = "the range was checked")]
fn integral(float: f64) -> Option<i64> {
    (float.fract() == 0.0 && float.abs() <= EXACT).then_some(float as i64)
}

fn map_numbers(value: Value, map: &impl Fn(Number) -> Number) -> Value {
    match value {
        Value::Number(number) => Value::Number(map(number)),
        Value::Array(items) => Value::Array(items.into_iter().map(|item| map_numbers(item, map)).collect()),
        Value::Object(fields) => {
            Value::Object(fields.into_iter().map(|(name, field)| (name, map_numbers(field, map))).collect())
        }
        other => other,
    }
}

fn write_canonical(value: &Value, text: &mut String) {
    match value {
        Value::Array(items) => {
            text.push('[');
            for (at, item) in items.iter().enumerate() {
                text.push_str(if at == 0 { "" } else { "," });
                write_canonical(item, text);
            }
            text.push(']');
        }
        Value::Object(fields) => {
            // Not every build of serde_json keeps its maps sorted.
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by_key(|(name, _)| *name);
            text.push('{');
            for (at, (name, field)) in fields.into_iter().enumerate() {
                text.push_str(if at == 0 { "" } else { "," });
                text.push_str(&Value::String(name.clone()).to_string());
                text.push(':');
                write_canonical(field, text);
            }
            text.push('}');
        }
        leaf => text.push_str(&leaf.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::{canonical_text, encode, from_encoded, normalise, to_clean, to_encoded};
    use proptest::prelude::*;
    use serde_json::{Value, json};

    #[test]
    fn integers_leave_with_a_decimal_point_unless_a_person_reads_them() {
        let plain = json!({"a": [5, -1, 0.5]});
        assert_eq!(encode(plain.clone()).to_string(), r#"{"a":[5.0,-1.0,0.5]}"#);
        assert_eq!(to_encoded(&plain).unwrap().to_string(), r#"{"a":[5.0,-1.0,0.5]}"#);
        assert_eq!(to_clean(&plain).unwrap().to_string(), r#"{"a":[5,-1,0.5]}"#);
    }

    #[test]
    fn an_integer_that_no_float_holds_leaves_as_int64() {
        let plain = json!(9_007_199_254_740_993_i64);
        assert_eq!(to_encoded(&plain).unwrap(), json!({"$integer": "AQAAAAAAIAA="}));
        assert_eq!(to_clean(&plain).unwrap(), json!("9007199254740993"));
        assert_eq!(from_encoded(&to_encoded(&plain).unwrap()).unwrap(), plain);
        assert!(to_encoded(&json!(u64::MAX)).is_err());
    }

    #[test]
    fn the_order_of_fields_makes_no_difference() {
        let (one, other) = (r#"{"b":[{"y":1,"x":"\""}],"a":null}"#, r#"{"a":null,"b":[{"x":"\"","y":1}]}"#);
        let canonical = |text| canonical_text(&serde_json::from_str(text).unwrap());
        assert_eq!(canonical(one), canonical(other));
        assert_eq!(canonical(one), other);
    }

    /// Plain JSON with names that may stand on the wire.
    fn plain() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_filter("finite", |float| float.is_finite()).prop_map(Value::from),
            ".{0,12}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 64, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::btree_map("[ -#%-~][ -~]{0,6}", inner, 0..6)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn plain_values_survive_the_wire(value in plain()) {
            let text = to_encoded(&value).unwrap().to_string();
            let back = from_encoded(&serde_json::from_str(&text).unwrap()).unwrap();
            prop_assert_eq!(back, normalise(value));
        }

        #[test]
        fn the_canonical_text_is_the_same_value(value in plain()) {
            prop_assert_eq!(serde_json::from_str::<Value>(&canonical_text(&value)).unwrap(), value);
        }

        #[test]
        fn integers_survive_the_round_trip(number in -(1i64 << 53)..=(1i64 << 53)) {
            let text = encode(json!(number)).to_string();
            prop_assert!(text.contains('.') || text.contains('e'));
            prop_assert_eq!(normalise(serde_json::from_str(&text).unwrap()), json!(number));
        }

        #[test]
        fn fractions_are_left_alone(number in any::<f64>().prop_filter("fraction", |n| n.fract() != 0.0)) {
            prop_assert_eq!(normalise(json!(number)), json!(number));
        }
    }
}
