//! Numbers without rounding.

use std::cmp::Ordering;

use num_bigint::BigInt;

/// A fraction. The denominator is positive.
#[derive(Debug, Clone)]
pub(crate) struct Exact {
    numerator: BigInt,
    denominator: BigInt,
}

impl Exact {
    pub(crate) fn of_int(number: i64) -> Self {
        Self::fraction(BigInt::from(number), BigInt::from(1))
    }

    pub(crate) fn fraction(numerator: BigInt, denominator: BigInt) -> Self {
        assert!(denominator > BigInt::ZERO, "a denominator is positive");
        Self { numerator, denominator }
    }

    /// [`None`] for what is not finite.
    pub(crate) fn of_float(number: f64) -> Option<Self> {
        if !number.is_finite() {
            return None;
        }
        let bits = number.to_bits();
        let exponent = (bits >> 52) & 0x7ff;
        let fraction = bits & ((1 << 52) - 1);
        let (digits, power) = if exponent == 0 { (fraction, 1) } else { (fraction | (1 << 52), exponent) };
        let digits = BigInt::from(digits) * if number.is_sign_negative() { -1 } else { 1 };
        // digits * 2^(power - 1075)
        let (up, down) = (power.saturating_sub(1075), 1075_u64.saturating_sub(power));
        Some(Self::fraction(digits << up, BigInt::from(1) << down))
    }

    pub(crate) fn plus(&self, other: &Self) -> Self {
        let denominator = &self.denominator * &other.denominator;
        if self.denominator == other.denominator {
            return Self::fraction(&self.numerator + &other.numerator, self.denominator.clone());
        }
        let numerator = &self.numerator * &other.denominator + &other.numerator * &self.denominator;
        Self::fraction(numerator, denominator)
    }

    pub(crate) fn times(&self, other: &Self) -> Self {
        Self::fraction(&self.numerator * &other.numerator, &self.denominator * &other.denominator)
    }

    /// `other` must be above 0.
    pub(crate) fn over(&self, other: &Self) -> Self {
        Self::fraction(&self.numerator * &other.denominator, &self.denominator * &other.numerator)
    }

    pub(crate) fn compare(&self, other: &Self) -> Ordering {
        (&self.numerator * &other.denominator).cmp(&(&other.numerator * &self.denominator))
    }

    /// The nearest float, to even between two.
    pub(crate) fn to_f64(&self) -> f64 {
        const DIGITS: i64 = 66;
        let bits = |number: &BigInt| i64::try_from(number.bits()).expect("numbers of tests are small");
        let shift = DIGITS - bits(&self.numerator) + bits(&self.denominator);
        let magnitude = BigInt::from(self.numerator.magnitude().clone());
        let (up, down) = (shift.max(0), (-shift).max(0));
        let (dividend, divisor) = (magnitude << up, &self.denominator << down);
        let quotient = &dividend / &divisor;
        let rest = u128::from(&quotient * &divisor != dividend);
        let digits = u128::try_from(&quotient).expect("66 or 67 bits") | rest;
        let power = i32::try_from(-shift).expect("numbers of tests are small");
        // In two steps, so that neither is out of a float's range before the result is.
        let float = digits as f64 * 2_f64.powi(power / 2) * 2_f64.powi(power - power / 2);
        if self.numerator < BigInt::ZERO { -float } else { float }
    }

    /// The exact sum, rounded once; of infinities what floats make of them.
    pub(crate) fn sum_of_floats(numbers: &[f64]) -> f64 {
        Self::total(numbers).map_or_else(|| numbers.iter().sum(), |total| total.to_f64())
    }

    /// The exact average, rounded once; of infinities what floats make of them.
    pub(crate) fn mean_of_floats(numbers: &[f64]) -> f64 {
        let count = Self::of_int(numbers.len() as i64);
        Self::total(numbers).map_or_else(|| numbers.iter().sum(), |total| total.over(&count).to_f64())
    }

    fn total(numbers: &[f64]) -> Option<Self> {
        numbers.iter().try_fold(Self::of_int(0), |total, next| Some(total.plus(&Self::of_float(*next)?)))
    }
}

#[cfg(test)]
mod tests;
