//! Numbers between typed Rust and the wire.
//!
//! Convex clients know one number type, float64: PyPI's HTTP client refuses `5` and wants `5.0`, and the Rust and Python
//! clients send `5.0` for what we read into an integer. So integers leave as floats and integral floats enter as integers.
//! Times and counts of this API stay below 2^53, where both are exact.

use serde_json::{Number, Value};

/// The largest integer up to which every integer is exact in a float64.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// Writes every number with a decimal point, as `convex_encoded_json` wants it.
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
        #[allow(clippy::cast_possible_truncation)]
        Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() <= EXACT => Number::from(float as i64),
        _ => number,
    })
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

#[cfg(test)]
mod tests {
    use super::{encode, normalise};
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn integers_leave_with_a_decimal_point() {
        assert_eq!(encode(json!({"a": [5, -1, 0.5]})).to_string(), r#"{"a":[5.0,-1.0,0.5]}"#);
    }

    proptest! {
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
