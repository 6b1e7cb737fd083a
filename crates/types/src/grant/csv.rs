//! One record of comma-separated fields, as `--mount` and `--secret` take it.

/// Splits a record into its fields (RFC 4180; Go's `encoding/csv`, which Docker uses).
///
/// # Errors
/// What is wrong with the quotes.
pub(super) fn split(record: &str) -> Result<Vec<String>, &'static str> {
    let mut fields = Vec::new();
    let mut rest = record;
    loop {
        let (field, after) = match rest.strip_prefix('"') {
            Some(quoted) => take_quoted(quoted)?,
            None => take_bare(rest)?,
        };
        fields.push(field);
        match after.strip_prefix(',') {
            Some(next) => rest = next,
            None if after.is_empty() => return Ok(fields),
            None => return Err("extraneous or missing \" in quoted-field"),
        }
    }
}

fn take_bare(text: &str) -> Result<(String, &str), &'static str> {
    let (field, after) = text.split_at(text.find(',').unwrap_or(text.len()));
    if field.contains('"') {
        return Err("bare \" in non-quoted field");
    }
    Ok((field.to_owned(), after))
}

fn take_quoted(text: &str) -> Result<(String, &str), &'static str> {
    let mut field = String::new();
    let mut rest = text;
    loop {
        let (part, after) = rest
            .split_once('"')
            .ok_or("extraneous or missing \" in quoted-field")?;
        field.push_str(part);
        match after.strip_prefix('"') {
            Some(next) => {
                field.push('"');
                rest = next;
            }
            None => return Ok((field, after)),
        }
    }
}

/// Writes a field so that [`split`] gives it back.
pub(super) fn quote(field: &str) -> String {
    if field.contains([',', '"']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn quotes_keep_a_comma() {
        assert_eq!(
            split("a=1,\"b=x,\"\"y\"\"\",").expect("valid"),
            ["a=1", "b=x,\"y\"", ""]
        );
    }

    #[test]
    fn bad_quotes_are_refused() {
        assert!(split("a\"b").is_err());
        assert!(split("\"a").is_err());
        assert!(split("\"a\"b").is_err());
    }

    proptest! {
        #[test]
        fn every_field_survives(fields in proptest::collection::vec(".*", 1..5)) {
            let record = fields.iter().map(|field| quote(field)).collect::<Vec<_>>().join(",");
            prop_assert_eq!(split(&record).expect("quoted"), fields);
        }
    }
}
