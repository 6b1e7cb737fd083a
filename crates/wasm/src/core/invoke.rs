//! Calls one exported function with arguments and results as text.

use super::exported_functions;
use lighter_types::runner_protocol::Failure;
use std::io::Write;
use wasmtime::{ExternType, FuncType, Module, Val, ValType};

/// A call that fits the function's type.
pub(super) struct Call {
    /// The export's name.
    pub(super) export: String,
    /// The arguments, of the parameters' types.
    pub(super) arguments: Vec<Val>,
    /// Places for the results.
    pub(super) results: Vec<Val>,
}

/// Reads the arguments as the function's parameters want them.
///
/// # Errors
/// [`Failure::InvalidInvoke`] that names the function and its type, or those that there are.
pub(super) fn parse(module: &Module, export: &str, arguments: &[String]) -> Result<Call, Failure> {
    let function = match module.get_export(export) {
        Some(ExternType::Func(function)) => function,
        Some(_) => return Err(invalid(format!("{export} is exported, but is no function"))),
        None => return Err(invalid(unknown(module, export))),
    };
    let signature = signature(export, &function);
    let wanted = function.params().len();
    if arguments.len() != wanted {
        let plural = if wanted == 1 { "" } else { "s" };
        return Err(invalid(format!(
            "{signature} takes {wanted} argument{plural}, {} given",
            arguments.len()
        )));
    }
    let arguments = function
        .params()
        .zip(arguments)
        .enumerate()
        .map(|(index, (kind, text))| {
            value(&kind, text).map_err(|problem| {
                invalid(format!("argument {} of {signature}: {problem}", index + 1))
            })
        })
        .collect::<Result<_, _>>()?;
    let results = function
        .results()
        .map(|kind| Val::default_for_ty(&kind).unwrap_or(Val::I32(0)))
        .collect();
    Ok(Call {
        export: export.to_owned(),
        arguments,
        results,
    })
}

fn invalid(reason: String) -> Failure {
    Failure::InvalidInvoke { reason }
}

fn unknown(module: &Module, export: &str) -> String {
    let functions = exported_functions(module);
    if functions.is_empty() {
        return format!("no function {export} is exported; the program exports none");
    }
    format!(
        "no function {export} is exported; there are: {}",
        functions.join(", ")
    )
}

/// The function as a person would write it: `add(i32, i32) -> i32`.
fn signature(export: &str, function: &FuncType) -> String {
    let list = |kinds: Vec<ValType>| {
        kinds
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(", ")
    };
    let parameters = list(function.params().collect());
    let results = list(function.results().collect());
    match function.results().len() {
        0 => format!("{export}({parameters})"),
        1 => format!("{export}({parameters}) -> {results}"),
        _ => format!("{export}({parameters}) -> ({results})"),
    }
}

/// Reads one argument.
fn value(kind: &ValType, text: &str) -> Result<Val, String> {
    let wrong = |example: &str| format!("{text:?} is no {kind} (as {example})");
    match kind {
        ValType::I32 => integer(text, 32)
            .and_then(|bits| u32::try_from(bits).ok())
            .map(|bits| Val::I32(bits.cast_signed()))
            .ok_or_else(|| wrong("42, -1 or 0xff")),
        ValType::I64 => integer(text, 64)
            .and_then(|bits| u64::try_from(bits).ok())
            .map(|bits| Val::I64(bits.cast_signed()))
            .ok_or_else(|| wrong("42, -1 or 0xff")),
        ValType::F32 => text
            .parse::<f32>()
            .map(|number| Val::F32(number.to_bits()))
            .map_err(|_| wrong("1.5, -2e10, inf or nan")),
        ValType::F64 => text
            .parse::<f64>()
            .map(|number| Val::F64(number.to_bits()))
            .map_err(|_| wrong("1.5, -2e10, inf or nan")),
        ValType::V128 => hexadecimal(text)
            .map(|bits| Val::V128(bits.into()))
            .ok_or_else(|| wrong("0x and up to 32 hexadecimal digits")),
        ValType::Ref(_) => Err(format!("a {kind} cannot be given as text")),
    }
}

fn hexadecimal(text: &str) -> Option<u128> {
    let digits = text
        .strip_prefix("0x")
        .or_else(|| text.strip_prefix("0X"))?;
    if digits.starts_with('+') {
        return None;
    }
    u128::from_str_radix(digits, 16).ok()
}

/// The bits of an integer given as signed, unsigned or hexadecimal, if they fit the width.
fn integer(text: &str, width: u32) -> Option<u128> {
    let (is_negative, size) = match text.strip_prefix('-') {
        Some(size) => (true, size),
        None => (false, text),
    };
    let size = match hexadecimal(size) {
        Some(size) => size,
        None if size.starts_with('+') => return None,
        None => size.parse::<u128>().ok()?,
    };
    if is_negative {
        let limit = 1_u128 << (width - 1);
        return (size <= limit).then(|| ((1_u128 << width) - size) & ((1_u128 << width) - 1));
    }
    (size < 1_u128 << width).then_some(size)
}

/// Writes the results, one per line.
pub(super) fn print(results: &[Val]) -> std::io::Result<()> {
    let mut text = String::new();
    for result in results {
        text.push_str(&show(result));
        text.push('\n');
    }
    std::io::stdout().write_all(text.as_bytes())?;
    std::io::stdout().flush()
}

fn show(result: &Val) -> String {
    match result {
        Val::I32(number) => number.to_string(),
        Val::I64(number) => number.to_string(),
        Val::F32(bits) => f32::from_bits(*bits).to_string(),
        Val::F64(bits) => f64::from_bits(*bits).to_string(),
        Val::V128(bits) => format!("{:#034x}", bits.as_u128()),
        reference
            if reference
                .ref_()
                .is_some_and(|reference| reference.is_null()) =>
        {
            "null".to_owned()
        }
        _ => "a reference".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_signed_unsigned_or_hexadecimal() {
        assert_eq!(integer("-1", 32), Some(0xffff_ffff));
        assert_eq!(integer("4294967295", 32), Some(0xffff_ffff));
        assert_eq!(integer("4294967296", 32), None);
        assert_eq!(integer("-2147483648", 32), Some(0x8000_0000));
        assert_eq!(integer("-2147483649", 32), None);
        assert_eq!(integer("0xFF", 64), Some(255));
        assert_eq!(integer("-0x1", 64), Some(u64::MAX.into()));
        assert_eq!(integer("-0", 32), Some(0));
    }

    #[test]
    fn what_is_no_integer_is_refused() {
        for text in ["", "-", "+1", "1.0", "0x", "0x+1", "--1", "1 ", "ten"] {
            assert_eq!(integer(text, 64), None, "{text:?}");
        }
    }
}
