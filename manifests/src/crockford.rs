//! Crockford's base 32, for codes that people read out and type: letters that look alike count as one.

const CROCKFORD: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// Longest text in groups that is looked at, in bytes: any code, with generous white space.
const MAX_GROUPED_BYTES: usize = 200;

/// The low five bits of each value and a check character, in groups of five.
pub(crate) fn grouped(values: &[u8]) -> String {
    let mut symbols: Vec<u8> = values.iter().map(|value| value & 31).collect();
    symbols.push(check_symbol(&symbols));
    let mut text = String::with_capacity(symbols.len() + symbols.len() / 5);
    for (index, symbol) in symbols.iter().enumerate() {
        if index > 0 && index % 5 == 0 {
            text.push('-');
        }
        text.push(char::from(CROCKFORD[usize::from(*symbol)]));
    }
    text
}

/// Weighted sum modulo 31 (a prime): finds every single wrong character and every swap of neighbours, except that
/// 0 and 31 count alike.
fn check_symbol(symbols: &[u8]) -> u8 {
    let sum = symbols.iter().fold(0u32, |sum, symbol| (sum * 2 + u32::from(*symbol) + 1) % 31);
    u8::try_from(sum).unwrap_or(0)
}

/// The value of a Crockford base-32 character; `O` reads as 0, `I` and `L` as 1, as its author recommends.
pub(crate) fn crockford_value(character: char) -> Option<u8> {
    let upper = match character.to_ascii_uppercase() {
        'O' => '0',
        'I' | 'L' => '1',
        other => other,
    };
    CROCKFORD.iter().position(|symbol| char::from(*symbol) == upper).and_then(|at| u8::try_from(at).ok())
}

/// The Crockford base-32 character of a value; only the low five bits are used.
pub(crate) fn crockford_char(value: u8) -> char {
    char::from(CROCKFORD[usize::from(value & 31)])
}

/// A text in groups, with any white space, hyphens and case, in its canonical form; `None` if it does not have this many
/// symbols or its check character does not fit.
pub(crate) fn parse_grouped(text: &str, symbols: usize) -> Option<String> {
    if text.len() > MAX_GROUPED_BYTES {
        return None;
    }
    let values: Option<Vec<u8>> = text
        .chars()
        .filter(|character| !character.is_ascii_whitespace() && *character != '-')
        .map(crockford_value)
        .collect();
    let values = values?;
    let (check, symbols_before) = values.split_last()?;
    let sound = values.len() == symbols && check_symbol(symbols_before) == *check;
    sound.then(|| grouped(symbols_before))
}
