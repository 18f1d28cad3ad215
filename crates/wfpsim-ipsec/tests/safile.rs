//! The SA file, and what it says when it is wrong.

use wfpsim_ipsec::{Authentication, Encryption, Mode, Protocol, Sadb, safile};

const GOOD: &str = r#"
[[sa]]
spi = 0x1234_5678
src = "192.0.2.1"
dst = "192.0.2.2"
proto = "esp"
mode = "transport"
enc = "aes-cbc"
enc_key = "000102030405060708090a0b0c0d0e0f"
auth = "hmac-sha1-96"
auth_key = "000102030405060708090A0B0C0D0E0F10111213"
"#;

/// What is said of a file that is `GOOD` with one line replaced; "" takes the line out.
fn said_of(line: &str, instead: &str) -> String {
    assert!(GOOD.contains(line), "{line} is there to be replaced");
    let text = GOOD.replacen(line, instead, 1);
    safile::parse("keys.toml", &text)
        .expect_err("it is wrong")
        .to_string()
}

#[test]
fn a_good_file_is_read() {
    let associations = safile::parse("keys.toml", GOOD).expect("it is good");
    let [sa] = &associations[..] else {
        panic!("one association")
    };
    assert_eq!(sa.key.spi, 0x1234_5678);
    assert_eq!(sa.key.dst.to_string(), "192.0.2.2");
    assert_eq!(sa.key.protocol, Protocol::Esp);
    assert_eq!(sa.src.to_string(), "192.0.2.1");
    assert_eq!(sa.mode, Mode::Transport);
    assert_eq!(sa.encryption, Encryption::AesCbc);
    assert_eq!(sa.encryption_key.bytes(), (0..16).collect::<Vec<u8>>());
    assert_eq!(sa.authentication, Authentication::HmacSha1_96);
    assert_eq!(sa.authentication_key.bytes(), (0..20).collect::<Vec<u8>>());
    assert!(!sa.udp_encap);
}

#[test]
fn an_empty_file_has_no_associations() {
    assert!(
        Sadb::from_toml("keys.toml", "# nothing yet\n")
            .expect("it is good")
            .is_empty()
    );
}

#[test]
fn the_example_of_the_documentation_is_a_good_file() {
    let documentation = include_str!("../src/safile.rs");
    let example: String = documentation
        .lines()
        .skip_while(|line| *line != "//! ```toml")
        .skip(1)
        .take_while(|line| *line != "//! ```")
        .map(|line| format!("{}\n", line.trim_start_matches("//!")))
        .collect();
    assert_eq!(
        safile::parse("example", &example)
            .expect("it is good")
            .len(),
        1
    );
}

#[test]
fn an_unknown_field_is_told_apart_with_the_line_and_the_known_ones() {
    assert_eq!(
        said_of("mode = ", "lifetime = 3600\nmode = "),
        "keys.toml:7: sa 1: lifetime is no field of an sa; there are spi, src, dst, proto, mode, enc, enc_key, auth, \
         auth_key, udp_encap"
    );
}

#[test]
fn a_key_of_the_wrong_length_is_told_with_the_right_ones() {
    assert_eq!(
        said_of("000102030405060708090a0b0c0d0e0f", "0001020304"),
        "keys.toml:9: sa 1: enc_key is 5 bytes; \"aes-cbc\" takes 16 or 24 or 32 bytes, which are 32 or 48 or 64 hex digits"
    );
    assert_eq!(
        said_of("000102030405060708090A0B0C0D0E0F10111213", "00"),
        "keys.toml:11: sa 1: auth_key is 1 bytes; \"hmac-sha1-96\" takes 20 bytes, which are 40 hex digits"
    );
}

#[test]
fn a_key_that_is_not_hex_is_told_without_repeating_the_key() {
    let said = said_of(
        "000102030405060708090a0b0c0d0e0f",
        "00xx02030405060708090a0b0c0d0e0f",
    );
    assert_eq!(
        said,
        "keys.toml:9: sa 1: enc_key has something else than a hex digit at position 3"
    );
    let said = said_of("000102030405060708090a0b0c0d0e0f", "000");
    assert_eq!(
        said,
        "keys.toml:9: sa 1: enc_key has 3 hex digits; it must have two for each byte"
    );
}

#[test]
fn a_gcm_key_without_its_salt_is_told_about_the_salt() {
    let text = GOOD
        .replace("aes-cbc", "aes-gcm")
        .replace("auth = \"hmac-sha1-96\"", "");
    let text = text.replace(
        "auth_key = \"000102030405060708090A0B0C0D0E0F10111213\"",
        "",
    );
    assert_eq!(
        safile::parse("keys.toml", &text)
            .expect_err("no salt")
            .to_string(),
        "keys.toml:9: sa 1: enc_key is 16 bytes; \"aes-gcm\" takes 20 or 28 or 36 bytes, which are 40 or 56 or 72 hex digits, \
         the 4-byte salt at the end included"
    );
}

#[test]
fn gcm_with_an_hmac_is_one_too_many() {
    let text = GOOD
        .replace("aes-cbc", "aes-gcm")
        .replace("0c0d0e0f\"", "0c0d0e0f10111213\"");
    assert_eq!(
        safile::parse("keys.toml", &text)
            .expect_err("two of them")
            .to_string(),
        "keys.toml:10: sa 1: auth is \"hmac-sha1-96\"; aes-gcm authenticates by itself, leave it out or say \"none\""
    );
}

#[test]
fn ah_with_encryption_or_without_authentication_or_in_udp_makes_no_sense() {
    let said = said_of("\"esp\"", "\"ah\"\nudp_encap = true");
    assert!(
        said.contains("keys.toml:9: sa 1: enc is \"aes-cbc\"; AH does not encrypt"),
        "{said}"
    );
    assert!(
        said.contains("keys.toml:7: sa 1: udp_encap is true; only ESP travels in UDP"),
        "{said}"
    );
    let ah = GOOD
        .lines()
        .filter(|line| !line.starts_with("enc") && !line.starts_with("auth"));
    let ah = ah.collect::<Vec<_>>().join("\n").replace("esp", "ah");
    let said = safile::parse("keys.toml", &ah)
        .expect_err("no authentication")
        .to_string();
    assert!(
        said.starts_with("keys.toml:2: sa 1: auth is \"none\"; AH is nothing but"),
        "{said}"
    );
}

#[test]
fn esp_that_does_nothing_makes_no_sense() {
    let nothing = GOOD
        .lines()
        .filter(|line| !line.contains("_key") && !line.starts_with("auth"));
    let nothing = nothing
        .collect::<Vec<_>>()
        .join("\n")
        .replace("aes-cbc", "null");
    let said = safile::parse("keys.toml", &nothing)
        .expect_err("does nothing")
        .to_string();
    assert_eq!(
        said,
        "keys.toml:2: sa 1: auth is \"none\" and enc is \"null\"; ESP must do at least one of the two"
    );
}

#[test]
fn a_key_for_no_algorithm_and_an_algorithm_without_key_are_both_told() {
    let said = said_of("aes-cbc", "null");
    assert_eq!(
        said,
        "keys.toml:9: sa 1: enc_key is 16 bytes; \"null\" has no key, leave it out"
    );
    let said = said_of("enc_key = \"000102030405060708090a0b0c0d0e0f\"\n", "");
    assert!(
        said.starts_with("keys.toml:2: sa 1: enc_key is missing; \"aes-cbc\" takes 16"),
        "{said}"
    );
}

#[test]
fn addresses_must_be_addresses_and_of_one_family() {
    assert_eq!(
        said_of("\"192.0.2.1\"", "\"alice\""),
        "keys.toml:4: sa 1: src is \"alice\"; it must be an IPv4 or IPv6 address"
    );
    assert_eq!(
        said_of("\"192.0.2.1\"", "\"2001:db8::1\""),
        "keys.toml:4: sa 1: src is 2001:db8::1 but dst is 192.0.2.2; both must be IPv4 or both IPv6"
    );
}

#[test]
fn an_spi_must_be_a_number_that_is_not_reserved() {
    let right = "it must be a number from 256 to 0xffffffff";
    assert_eq!(
        said_of("0x1234_5678", "255"),
        "keys.toml:3: sa 1: spi is 255; 0 means no association and 1 to 255 are reserved, so 256 is the least"
    );
    assert_eq!(
        said_of("0x1234_5678", "-1"),
        format!("keys.toml:3: sa 1: spi is -1; {right}")
    );
    assert_eq!(
        said_of("0x1234_5678", "\"0x1234\""),
        format!("keys.toml:3: sa 1: spi is a TOML string; {right}, without quotes")
    );
    assert_eq!(
        said_of("spi = 0x1234_5678", ""),
        format!("keys.toml:2: sa 1: spi is missing; {right}")
    );
}

#[test]
fn a_word_that_is_none_of_the_choices_is_told_with_the_choices() {
    assert_eq!(
        said_of("\"transport\"", "\"beet\""),
        "keys.toml:7: sa 1: mode is \"beet\"; it must be \"transport\" or \"tunnel\""
    );
    assert_eq!(
        said_of("\"hmac-sha1-96\"", "\"sha1\""),
        "keys.toml:10: sa 1: auth is \"sha1\"; it must be \"none\" or \"hmac-sha1-96\" or \"hmac-sha256-128\" or \"hmac-md5-96\""
    );
    assert_eq!(
        said_of("mode = \"transport\"", "mode = true"),
        "keys.toml:7: sa 1: mode is a TOML boolean; it must be \"transport\" or \"tunnel\", in quotes"
    );
    assert_eq!(
        said_of("mode = ", "udp_encap = 1\nmode = "),
        "keys.toml:7: sa 1: udp_encap is a TOML integer; it must be true or false, without quotes"
    );
}

#[test]
fn two_associations_must_differ_in_spi_or_dst_or_proto() {
    let said = safile::parse("keys.toml", &GOOD.repeat(2))
        .expect_err("twice the same")
        .to_string();
    assert_eq!(
        said,
        "keys.toml:13: sa 2: spi is the same as in sa 1 (line 2), with the same dst and proto; each association needs its own"
    );
    let other = GOOD.replace("192.0.2.2", "192.0.2.3");
    let both = safile::parse("keys.toml", &format!("{GOOD}{other}")).expect("another dst");
    assert_eq!(both.len(), 2);
}

#[test]
fn everything_that_is_wrong_is_told_at_once_in_the_order_of_the_lines() {
    let text = GOOD
        .replace("transport", "beet")
        .replace("0x1234_5678", "1");
    let text = format!("version = 2\n{text}");
    let error = safile::parse("keys.toml", &text).expect_err("three things");
    let lines: Vec<_> = error.problems.iter().map(|problem| problem.line).collect();
    assert_eq!(lines, [Some(1), Some(8)]);
    assert_eq!(
        error.to_string().lines().next(),
        Some("keys.toml:1: has \"version\"; only [[sa]] tables belong here")
    );
}

#[test]
fn a_table_where_a_list_belongs_and_text_that_is_no_toml_are_told() {
    assert_eq!(
        said_of("[[sa]]", "[sa]"),
        "keys.toml:2: has one [sa]; write [[sa]], because there may be several"
    );
    let said = said_of("mode = ", "mode : ");
    assert!(said.starts_with("keys.toml:7: is not TOML: "), "{said}");
}

#[test]
fn a_file_that_is_not_there_is_told_by_name() {
    let error = Sadb::load("no/such/keys.toml".as_ref()).expect_err("it is not there");
    assert!(
        error
            .to_string()
            .starts_with("no/such/keys.toml: cannot be read: "),
        "{error}"
    );
}

#[test]
fn keys_do_not_appear_in_debug_output() {
    let sadb = Sadb::from_toml("keys.toml", GOOD).expect("it is good");
    let shown = format!("{sadb:?}");
    assert!(shown.contains("16 bytes, not shown"), "{shown}");
    assert!(!shown.contains("0, 1, 2, 3"), "{shown}");
}
