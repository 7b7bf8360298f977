//! Finds settings that the specification does not know: what was read is written again, and what is then missing was not
//! understood.

use anyhow::{Result, bail};
use serde::Serialize;
use serde_json::Value;

/// Checks that every setting of the text has found its way into the value.
///
/// # Errors
/// Names the first that has not.
pub fn check<T: Serialize>(text: &str, value: &T) -> Result<()> {
    let (given, understood) = (serde_json::from_str(text)?, serde_json::to_value(value)?);
    match lost(&given, &understood, &mut String::new()) {
        Some(field) => bail!("{field}: unknown setting"),
        None => Ok(()),
    }
}

/// Whether a setting that is left out means the same.
fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(set) => !set,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(values) => values.is_empty(),
        Value::Object(fields) => fields.values().all(says_nothing),
    }
}

fn lost(given: &Value, understood: &Value, path: &mut String) -> Option<String> {
    match (given, understood) {
        (Value::Object(given), Value::Object(understood)) => given.iter().find_map(|(name, value)| {
            let length = path.len();
            if !path.is_empty() {
                path.push('.');
            }
            path.push_str(name);
            let found = match understood.get(name) {
                Some(other) => lost(value, other, path),
                None if says_nothing(value) => None,
                None => Some(path.clone()),
            };
            path.truncate(length);
            found
        }),
        // Sets are written in another order, and only names are in them.
        (Value::Array(given), Value::Array(understood)) if given.iter().any(Value::is_object) => {
            given.iter().zip(understood).enumerate().find_map(|(index, (value, other))| {
                let length = path.len();
                path.push_str(&format!("[{index}]"));
                let found = lost(value, other, path);
                path.truncate(length);
                found
            })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn an_unknown_setting_is_named() {
        let understood = serde_json::json!({ "a": [{ "b": 1 }, { "b": 2 }] });
        let check = |text: &str| super::check(text, &understood).map_err(|e| e.to_string());
        assert_eq!(check(r#"{ "a": [{ "b": 1 }, { "b": 2 }], "c": null, "d": [], "e": {"f": false} }"#), Ok(()));
        assert_eq!(check(r#"{ "a": [{ "b": 1 }, { "x": 2 }] }"#), Err("a[1].x: unknown setting".into()));
    }
}
