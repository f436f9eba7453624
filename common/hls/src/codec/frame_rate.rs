//! Frames per second as a ratio.

/// Frames per second as a ratio, in lowest terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameRate {
    /// Frames ...
    pub numerator: u32,
    /// ... in so many seconds; not zero.
    pub denominator: u32,
}

/// Rates that decimal numbers are meant to be.
const NTSC: [u32; 5] = [24, 30, 48, 60, 120];

impl FrameRate {
    /// `None` outside of 1 to 240 frames per second.
    pub fn new(numerator: u32, denominator: u32) -> Option<Self> {
        let (n, d) = (u64::from(numerator), u64::from(denominator));
        if d == 0 || n < d || n > 240 * d {
            return None;
        }
        let (mut a, mut b) = (numerator, denominator);
        while b != 0 {
            (a, b) = (b, a % b);
        }
        let reduced = Self {
            numerator: numerator / a,
            denominator: denominator / a,
        };
        // Bounds the arithmetic of the frame grid; no real rate comes near.
        (reduced.numerator <= 10_000_000).then_some(reduced)
    }

    /// What a decimal number, such as an encoder's metadata has it, stands for: 29.97 is 30000/1001. `None` when it is near
    /// no rate that is in use, and then better not believed.
    pub fn from_decimal(rate: f64) -> Option<Self> {
        // Written with two digits at least: 23.98 is 24000/1001.
        let is_near = |exact: f64| (rate - exact).abs() < 0.006;
        let ntsc = NTSC.into_iter().find(|n| is_near(f64::from(n * 1_000) / 1_001.0));
        if let Some(n) = ntsc {
            return Self::new(n * 1_000, 1_001);
        }
        let whole = (1..=240u32).find(|n| (rate - f64::from(*n)).abs() < 1e-6);
        whole.and_then(|n| Self::new(n, 1))
    }

    /// As a decimal number.
    pub fn as_f64(self) -> f64 {
        f64::from(self.numerator) / f64::from(self.denominator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_outside_of_what_a_camera_gives_are_not_rates() {
        assert_eq!(FrameRate::new(0, 1), None);
        assert_eq!(FrameRate::new(30, 0), None);
        assert_eq!(FrameRate::new(1_000, 1), None);
        let ntsc = FrameRate::new(60_000, 2_002).unwrap();
        assert_eq!((ntsc.numerator, ntsc.denominator), (30_000, 1_001));
    }

    #[test]
    fn decimals_are_read_as_what_they_stand_for() {
        let rate = |n, d| FrameRate::new(n, d);
        for (decimal, expected) in [
            (30.0, rate(30, 1)),
            (29.97, rate(30_000, 1_001)),
            (29.970_029_97, rate(30_000, 1_001)),
            (23.976, rate(24_000, 1_001)),
            (23.98, rate(24_000, 1_001)),
            (59.94, rate(60_000, 1_001)),
            (25.0, rate(25, 1)),
            (29.5, None),
            (0.0, None),
            (1_000.0, None),
            (f64::NAN, None),
        ] {
            assert_eq!(FrameRate::from_decimal(decimal), expected, "{decimal}");
        }
    }
}
