/// A sum of floats that is exact until it is read, so that it is the same in whatever order and parts the numbers
/// come (Shewchuk, "Adaptive Precision Floating-Point Arithmetic", 1997). Infinities and NaN behave as under `+`.
#[derive(Debug, Clone, Default)]
pub(crate) struct ExactSum {
    /// Parts that do not overlap, the smallest first; their sum is the sum.
    parts: Vec<f64>,
    /// The sum of what is not finite.
    special: Option<f64>,
}

impl ExactSum {
    /// Adds a number.
    pub(crate) fn add(&mut self, number: f64) {
        if !number.is_finite() {
            self.special = Some(self.special.unwrap_or(0.0) + number);
            return;
        }
        let mut rest = number;
        let mut kept = 0;
        for at in 0..self.parts.len() {
            let (sum, error) = two_sum(rest, self.parts[at]);
            if error != 0.0 {
                self.parts[kept] = error;
                kept += 1;
            }
            rest = sum;
        }
        self.parts.truncate(kept);
        if rest.is_finite() {
            self.parts.push(rest);
        } else {
            self.special = Some(rest);
        }
    }

    /// Adds another sum.
    pub(crate) fn merge(&mut self, other: &Self) {
        other.parts.iter().copied().chain(other.special).for_each(|part| self.add(part));
    }

    /// The sum, rounded once, ties to even.
    pub(crate) fn value(&self) -> f64 {
        if let Some(special) = self.special {
            return special;
        }
        let mut parts = self.parts.iter().rev().copied();
        let mut high = parts.next().unwrap_or(0.0);
        let mut low = 0.0;
        let mut next = None;
        for part in parts.by_ref() {
            (high, low) = two_sum(high, part);
            if low != 0.0 {
                next = parts.next();
                break;
            }
        }
        // Half a unit away, and what is below tips it over.
        if next.is_some_and(|below| (below < 0.0) == (low < 0.0) && below != 0.0) {
            let doubled = low * 2.0;
            let rounded = high + doubled;
            if rounded - high == doubled {
                return rounded;
            }
        }
        high
    }
}

/// The rounded sum and what rounding lost.
fn two_sum(left: f64, right: f64) -> (f64, f64) {
    let (large, small) = if left.abs() >= right.abs() { (left, right) } else { (right, left) };
    let sum = large + small;
    (sum, small - (sum - large))
}

#[cfg(test)]
mod tests;
