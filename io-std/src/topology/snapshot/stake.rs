//! Decimals as parts of 2^64, exactly and without floating point.

/// Why a text is no part of a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoPart {
    /// It is below 0 or over 1.
    OutOfRange,
    /// It has more digits than [`DIGITS_MAX`] or is no number.
    Malformed,
}

/// Digits of a decimal at most, as written.
pub(super) const DIGITS_MAX: usize = 100;
/// Places behind the point that can matter: 2^-64 is over 10^-20, so what begins behind this is 0.
const PLACES_MAX: i64 = 200;

/// Reads a decimal from 0 to 1 as JSON writes numbers, rounded down to 2^-64. 1 is `u64::MAX`.
pub(super) fn parts(text: &str) -> Result<u64, NoPart> {
    if text.len() > DIGITS_MAX {
        return Err(NoPart::Malformed);
    }
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent),
        None => (text, "0"),
    };
    let (sign, mantissa) = match mantissa.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, mantissa),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).collect();
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(NoPart::Malformed);
    }
    let first = digits.iter().position(|digit| *digit != b'0');
    let Some(first) = first else {
        return Ok(0);
    };
    if sign {
        return Err(NoPart::OutOfRange);
    }
    // Only the first significant digits and the place of the first are left; an exponent out of
    // all bounds is told by its sign.
    let saturated = if exponent.starts_with('-') {
        i64::MIN
    } else {
        i64::MAX
    };
    let plain = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    if plain.is_empty() || !plain.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err(NoPart::Malformed);
    }
    let exponent: i64 = exponent.parse().unwrap_or(saturated);
    let places = |len: usize| i64::try_from(len).unwrap_or(i64::MAX);
    // 0.d1 d2 d3 … × 10^point
    let point = places(whole.len())
        .saturating_sub(places(first))
        .saturating_add(exponent);
    let significant = digits.get(first..).unwrap_or_default();
    let is_one = point == 1
        && significant
            .split_first()
            .is_some_and(|(first, rest)| *first == b'1' && rest.iter().all(|digit| *digit == b'0'));
    if is_one {
        return Ok(u64::MAX);
    }
    if point > 0 {
        return Err(NoPart::OutOfRange);
    }
    if point < -PLACES_MAX {
        return Ok(0);
    }
    let zeros = usize::try_from(point.unsigned_abs()).unwrap_or(usize::MAX);
    let mut decimal: Vec<u8> = vec![0; zeros];
    decimal.extend(significant.iter().map(|digit| digit.saturating_sub(b'0')));
    Ok(binary(&mut decimal))
}

/// The first 64 binary places of a fraction given by its decimal places: doubled, the part that
/// leaves it in front is the next bit.
fn binary(decimal: &mut [u8]) -> u64 {
    (0..u64::BITS).fold(0, |bits, _| {
        let mut carry = 0;
        for digit in decimal.iter_mut().rev() {
            let doubled = *digit * 2 + carry;
            carry = u8::from(doubled > 9);
            *digit = doubled % 10;
        }
        bits << 1 | u64::from(carry)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Up to nineteen places the quotient of integers says the same.
        #[test]
        fn decimals_are_exact(digits in 0_u64..10_000_000_000_000_000_000, shift in 0_i32..30) {
            let expected = (u128::from(digits) << 64) / 10_u128.pow(19);
            let expected = u64::try_from(expected).unwrap();
            prop_assert_eq!(parts(&format!("0.{digits:019}")), Ok(expected));
            // The same number with its point elsewhere.
            let moved = format!("0.{}{digits:019}e{shift}", "0".repeat(shift.unsigned_abs() as usize));
            prop_assert_eq!(parts(&moved), Ok(expected));
            prop_assert_eq!(parts(&format!("{digits}E-19")), Ok(expected));
        }

        /// Larger numbers are larger parts.
        #[test]
        fn order_is_kept(a in 0_u64..1_000_000_000_000, b in 0_u64..1_000_000_000_000) {
            let part = |n: u64| parts(&format!("0.{n:012}")).unwrap();
            prop_assert_eq!(a.cmp(&b), part(a).cmp(&part(b)));
        }
    }

    #[test]
    fn bounds_are_inclusive_and_nothing_else_passes() {
        for (text, part) in [
            ("0", 0),
            ("-0.0", 0),
            ("0e9999999999999999999", 0),
            ("1", u64::MAX),
            ("1.000", u64::MAX),
            ("10e-1", u64::MAX),
            ("0.5", 1 << 63),
            ("5e-1", 1 << 63),
            ("0.25", 1 << 62),
            ("5.421010862427523e-20", 1),
            ("5.421010862427522e-20", 0),
            ("1e-9999999999999999999", 0),
        ] {
            assert_eq!(parts(text), Ok(part), "{text}");
        }
        for text in [
            "1.0000001",
            "2",
            "-0.1",
            "1e1",
            "11e-1",
            "1e9999999999999999999",
        ] {
            assert_eq!(parts(text), Err(NoPart::OutOfRange), "{text}");
        }
        let long = format!("0.{}", "1".repeat(DIGITS_MAX));
        for text in ["", "x", ".", "0x1", "1e", "0.5e+-1", "NaN", &long] {
            assert_eq!(parts(text), Err(NoPart::Malformed), "{text}");
        }
    }
}
