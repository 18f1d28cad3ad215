//! When a package says that it was made: not when that was, but when its source was last changed, so that the same source gives the same.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

/// Seconds since 1970, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Time(pub i64);

impl Time {
    /// `SOURCE_DATE_EPOCH` if it is set, otherwise the time of the last commit.
    ///
    /// # Errors
    ///
    /// If the variable is no number, or there is neither it nor a commit.
    pub fn of_source(root: &Path, variable: Option<&str>) -> Result<Self> {
        let text = match variable {
            Some(text) => text.to_owned(),
            None => {
                let output = Command::new("git")
                    .args(["log", "-1", "--format=%ct"])
                    .current_dir(root)
                    .output()
                    .ok()
                    .filter(|output| output.status.success())
                    .context("there is no commit to take the date from; set SOURCE_DATE_EPOCH")?;
                String::from_utf8_lossy(&output.stdout).into_owned()
            }
        };
        let seconds = text.trim().parse();
        Ok(Self(seconds.with_context(|| {
            format!("SOURCE_DATE_EPOCH is {text:?}, not a number of seconds")
        })?))
    }

    /// Year, month and day of the Gregorian calendar.
    pub fn date(self) -> (i64, u32, u32) {
        // Days are counted from 1 March of the year 0, so that a leap day is the last of its year, in eras of 400 years.
        let days = self.0.div_euclid(86_400) + 719_468;
        let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
        let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        let month = (5 * day + 2) / 153;
        let day_of_month = day - (153 * month + 2) / 5 + 1;
        let (month, carry) = if month < 10 {
            (month + 3, 0)
        } else {
            (month - 9, 1)
        };
        (era * 400 + year + carry, month as u32, day_of_month as u32)
    }

    /// `YYMMDDhhmmssZ`, which ASN.1 calls UTCTime.
    pub fn utc_time(self) -> String {
        let (year, month, day) = self.date();
        let second = self.0.rem_euclid(86_400);
        let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
        format!(
            "{:02}{month:02}{day:02}{hour:02}{minute:02}{second:02}Z",
            year.rem_euclid(100)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_days_of_the_calendar() {
        for (seconds, date) in [
            (0, (1970, 1, 1)),
            (951_782_399, (2000, 2, 28)),
            (951_782_400, (2000, 2, 29)),
            (951_868_800, (2000, 3, 1)),
            (1_709_164_800, (2024, 2, 29)),
            (1_735_689_599, (2024, 12, 31)),
            (1_735_689_600, (2025, 1, 1)),
            (-1, (1969, 12, 31)),
        ] {
            assert_eq!(Time(seconds).date(), date, "{seconds}");
        }
        assert_eq!(Time(951_782_399).utc_time(), "000228235959Z");
    }

    #[test]
    fn the_variable_is_taken_before_the_commit_and_must_be_a_number() {
        let here = Path::new(".");
        assert_eq!(
            Time::of_source(here, Some("86400\n")).unwrap(),
            Time(86_400)
        );
        assert!(Time::of_source(here, Some("yesterday")).is_err());
    }
}
