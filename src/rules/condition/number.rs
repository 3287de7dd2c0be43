//! Numbers of conditions: whole numbers and fractions, together.
//!
//! Promises: exact comparison, also where a fraction cannot hold the whole number; overflow is an answer.
//! Never: a panic, a silent wrap, an infinity made from finite whole numbers.

use std::cmp::Ordering;

/// A JSON number or one that a condition computed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Number {
    Whole(i64),
    Fraction(f64),
}

/// Why a calculation has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoResult {
    Overflow,
    DivisionByZero,
    /// The operator does not exist for fractions.
    NotWhole,
}

/// Beyond this a fraction no longer holds every whole number.
const EXACT: f64 = 9_007_199_254_740_992.0;

impl Number {
    /// Reads a JSON number. `8.0` becomes the whole 8: Capillary writes the same field both ways
    /// (capillary/reference.md 2.1, 2.7), and a rule must not change its mind with the sender's formatting.
    pub(super) fn of_json(number: &serde_json::Number) -> Self {
        match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => Self::Whole(whole),
            (None, Some(fraction)) if fraction.fract() == 0.0 && fraction.abs() <= EXACT => {
                Self::Whole(fraction as i64)
            }
            (None, fraction) => Self::Fraction(fraction.unwrap_or(f64::NAN)),
        }
    }

    /// As a fraction; may lose the last digits of a very large whole number.
    pub(super) fn as_fraction(self) -> f64 {
        match self {
            Self::Whole(whole) => whole as f64,
            Self::Fraction(fraction) => fraction,
        }
    }

    /// Orders by value; `None` if one is not a number (NaN).
    pub(super) fn order(self, other: Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Whole(a), Self::Whole(b)) => Some(a.cmp(&b)),
            (Self::Fraction(a), Self::Fraction(b)) => a.partial_cmp(&b),
            (Self::Whole(a), Self::Fraction(b)) => order_mixed(a, b),
            (Self::Fraction(a), Self::Whole(b)) => order_mixed(b, a).map(Ordering::reverse),
        }
    }

    pub(super) fn add(self, other: Self) -> Result<Self, NoResult> {
        self.calculate(other, i64::checked_add, |a, b| a + b)
    }

    pub(super) fn subtract(self, other: Self) -> Result<Self, NoResult> {
        self.calculate(other, i64::checked_sub, |a, b| a - b)
    }

    pub(super) fn multiply(self, other: Self) -> Result<Self, NoResult> {
        self.calculate(other, i64::checked_mul, |a, b| a * b)
    }

    pub(super) fn divide(self, other: Self) -> Result<Self, NoResult> {
        if other.as_fraction() == 0.0 {
            return Err(NoResult::DivisionByZero);
        }
        self.calculate(other, i64::checked_div, |a, b| a / b)
    }

    pub(super) fn remainder(self, other: Self) -> Result<Self, NoResult> {
        match (self, other) {
            (_, Self::Whole(0)) => Err(NoResult::DivisionByZero),
            (Self::Whole(a), Self::Whole(b)) => a.checked_rem(b).map(Self::Whole).ok_or(NoResult::Overflow),
            _ => Err(NoResult::NotWhole),
        }
    }

    pub(super) fn negate(self) -> Result<Self, NoResult> {
        match self {
            Self::Whole(whole) => whole.checked_neg().map(Self::Whole).ok_or(NoResult::Overflow),
            Self::Fraction(fraction) => Ok(Self::Fraction(-fraction)),
        }
    }

    fn calculate(
        self,
        other: Self,
        whole: fn(i64, i64) -> Option<i64>,
        fraction: fn(f64, f64) -> f64,
    ) -> Result<Self, NoResult> {
        match (self, other) {
            (Self::Whole(a), Self::Whole(b)) => whole(a, b).map(Self::Whole).ok_or(NoResult::Overflow),
            _ => {
                let result = fraction(self.as_fraction(), other.as_fraction());
                if result.is_finite() { Ok(Self::Fraction(result)) } else { Err(NoResult::Overflow) }
            }
        }
    }
}

fn order_mixed(whole: i64, fraction: f64) -> Option<Ordering> {
    // 2^63 is a fraction exactly, i64::MAX is not: comparing through `as f64` would call them equal.
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if fraction.is_nan() {
        None
    } else if fraction >= LIMIT {
        Some(Ordering::Less)
    } else if fraction < -LIMIT {
        Some(Ordering::Greater)
    } else {
        Some(whole.cmp(&(fraction.trunc() as i64)).then_with(|| 0.0_f64.total_cmp(&(fraction.fract() + 0.0))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn whole_numbers_and_fractions_order_by_value() {
        let order = |a, b| Number::order(a, b);
        for (whole, fraction, expected) in [
            (8, 8.0, Ordering::Equal),
            (8, 8.5, Ordering::Less),
            (-8, -8.5, Ordering::Greater),
            (0, -0.0, Ordering::Equal),
            (i64::MAX, 9_223_372_036_854_775_808.0, Ordering::Less),
            (i64::MIN, -9_223_372_036_854_775_808.0, Ordering::Equal),
            (9_007_199_254_740_993, 9_007_199_254_740_992.0, Ordering::Greater),
            (1, f64::INFINITY, Ordering::Less),
        ] {
            assert_eq!(order(Number::Whole(whole), Number::Fraction(fraction)), Some(expected), "{whole} {fraction}");
            assert_eq!(order(Number::Fraction(fraction), Number::Whole(whole)), Some(expected.reverse()));
        }
        assert_eq!(order(Number::Whole(1), Number::Fraction(f64::NAN)), None);
    }

    proptest! {
        #[test]
        fn no_calculation_panics(a: i64, b: i64, c: f64) {
            for (x, y) in [(Number::Whole(a), Number::Whole(b)), (Number::Whole(a), Number::Fraction(c)),
                           (Number::Fraction(c), Number::Whole(b)), (Number::Whole(i64::MIN), Number::Whole(-1))] {
                let _ = (x.add(y), x.subtract(y), x.multiply(y), x.divide(y), x.remainder(y), x.negate(), x.order(y));
            }
        }

        #[test]
        fn small_whole_numbers_order_as_fractions_do(a in -1_000_i64..1_000, b in -1_000.0_f64..1_000.0) {
            let mixed = Number::Whole(a).order(Number::Fraction(b));
            prop_assert_eq!(mixed, (a as f64).partial_cmp(&b));
        }
    }
}
