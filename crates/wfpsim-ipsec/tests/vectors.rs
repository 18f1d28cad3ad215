//! Packets that others made: of the RFCs, and of Scapy's implementation of IPsec.

mod support;

use std::collections::BTreeSet;
use std::net::IpAddr;

use support::{ESP, hex, ipv4, peeled};
use wfpsim_ipsec::{
    Association, Authentication, Encryption, Inbound, KeyMaterial, Mode, Protocol, SaKey, Sadb,
};

/// An association that only encrypts, as the examples of RFC 3602 do.
fn rfc_3602(spi: u32, dst: &str, mode: Mode, key: &str) -> Sadb {
    support::sadb(&[Association {
        key: SaKey {
            dst: dst.parse().expect("an address"),
            spi,
            protocol: Protocol::Esp,
        },
        src: "192.168.123.3".parse().expect("an address"),
        mode,
        encryption: Encryption::AesCbc,
        encryption_key: KeyMaterial::new(hex(key)),
        authentication: Authentication::None,
        authentication_key: KeyMaterial::default(),
        udp_encap: false,
    }])
}

#[test]
fn rfc_3602_case_5_is_a_ping_in_transport_mode() {
    let mut sadb = rfc_3602(
        0x4321,
        "192.168.123.100",
        Mode::Transport,
        "90d382b410eeba7ad938c46cec1a82bf",
    );
    let clean = hex("45000054 08f20000 4001f9fe c0a87b03 c0a87b64
         08000ebd a70a0000 8e9c083d b95b0700 08090a0b 0c0d0e0f 10111213 14151617
         18191a1b 1c1d1e1f 20212223 24252627 28292a2b 2c2d2e2f 30313233 34353637");
    let protected = hex(
        "4500007c 08f20000 4032f9a5 c0a87b03 c0a87b64 00004321 00000001
         e96e8c08 ab465763 fd098d45 dd3ff893
         f663c25d 325c18c6 a9453e19 4e120849 a4870b66 cc6b9965 330013b4 898dc856
         a4699e52 3a55db08 0b59ec3a 8e4b7e52 775b07d1 db34ed9c 538ab50c 551b874a
         a269add0 47ad2d59 13ac19b7 cfbad4a6",
    );
    let Ok(Inbound::Transport(opened)) = sadb.open(&protected) else {
        panic!("it does not open")
    };
    assert_eq!(opened.clean, clean);
    assert_eq!(opened.ip_header_len, 20 + 8 + 16);
    assert_eq!(opened.data_end, 20 + 8 + 16 + 64);
    assert_eq!(
        opened.laid_out[opened.ip_header_len..opened.data_end],
        clean[20..]
    );
    // The trailer of the RFC: 14 bytes of padding, their number, ICMP.
    assert_eq!(
        opened.laid_out[opened.data_end..],
        hex("0102030405060708090a0b0c0d0e 0e 01")
    );

    let (peeled, recipe) = peeled(&sadb, &protected);
    assert_eq!(peeled, clean);
    assert_eq!(sadb.protect(&clean, &recipe), Ok(protected));
}

#[test]
fn rfc_3602_case_7_is_a_ping_in_tunnel_mode() {
    let mut sadb = rfc_3602(
        0x8765,
        "192.168.123.200",
        Mode::Tunnel,
        "0123456789abcdef0123456789abcdef",
    );
    let inner = hex("45000054 09040000 4001f988 c0a87b03 c0a87bc8
         08009f76 a90a0100 b49c083d 02a20400 08090a0b 0c0d0e0f 10111213 14151617
         18191a1b 1c1d1e1f 20212223 24252627 28292a2b 2c2d2e2f 30313233 34353637");
    let protected = hex(
        "4500008c 09050000 4032f91e c0a87b03 c0a87bc8 00008765 00000002
         f4e76524 4f6407ad f13dc138 0f673f37
         773b5241 a4c44922 5e4f3ce5 ed611b0c 237ca96c f74a9301 3c1b0ea1 a0cf70f8
         e4ecaec7 8ac53aad 7a0f022b 859243c6 47752e94 a859352b 8a4d4d2d ecd136e5
         c177f132 ad3fbfb2 201ac990 4c74ee0a 109e0ca1 e4dfe9d5 a100b842 f1c22f0d",
    );
    let Ok(Inbound::Tunnel(opened)) = sadb.open(&protected) else {
        panic!("it does not open")
    };
    assert_eq!(opened.inner, inner);
    assert_eq!(
        (opened.outer_header_len, opened.inner_offset),
        (20, 20 + 8 + 16)
    );
    let (peeled, recipe) = peeled(&sadb, &protected);
    assert_eq!(sadb.protect(&peeled, &recipe), Ok(protected));
}

/// From the collection of GCM test cases for ESP that was published with RFC 4106: a DNS question,
/// 128-bit key, sequence numbers of 32 bits. The case has no outer IP header, so one is put in
/// front, and names protocol 1 as what is inside, so transport mode it is.
#[test]
fn the_gcm_test_case_with_a_dns_question_opens_and_is_made_again() {
    let src = "192.0.2.1".parse().expect("an address");
    let dst = "192.0.2.2".parse().expect("an address");
    let mut sadb = support::sadb(&[Association {
        key: SaKey {
            dst: IpAddr::V4(dst),
            spi: 0xa5f8,
            protocol: Protocol::Esp,
        },
        src: IpAddr::V4(src),
        mode: Mode::Transport,
        encryption: Encryption::AesGcm,
        encryption_key: KeyMaterial::new(hex("feffe9928665731c6d6a8f9467308308 cafebabe")),
        authentication: Authentication::None,
        authentication_key: KeyMaterial::default(),
        udp_encap: false,
    }]);
    let esp = hex("0000a5f8 0000000a facedbad decaf888
         deb22cd9 b07c72c1 6e3a65be eb8df304 a5a5897d 33ae530f 1ba76d5d 114d2a5c
         3de81827 c10e9a4f 51330d0e ec416642 cfbb85a5 b47e48a4 ec3b9ba9 5d918bd1
         83b70d3a a8bc6ee4 c309e9d8 5a41ad4a");
    let data = hex(
        "4500003e 698f0000 80114dcc c0a80102 c0a80101 0a980035 002a2343 b2d00100
         00010000 00000000 03736970 09637962 65726369 74790264 6b000001 0001",
    );
    let protected = ipv4(src, dst, ESP, &[], &esp);
    let Ok(Inbound::Transport(opened)) = sadb.open(&protected) else {
        panic!("it does not open")
    };
    assert_eq!(opened.protocol, 1);
    assert_eq!(opened.laid_out[opened.ip_header_len..opened.data_end], data);
    let (clean, recipe) = peeled(&sadb, &protected);
    assert_eq!(clean, opened.clean);
    assert_eq!(sadb.protect(&clean, &recipe), Ok(protected));
}

/// One line of vectors/scapy.txt.
fn scapy() -> Vec<(&'static str, Vec<u8>, Vec<u8>)> {
    include_str!("vectors/scapy.txt")
        .lines()
        .map(|line| {
            let mut words = line.split(' ');
            let name = words.next().expect("a name");
            let mut bytes = || hex(words.next().expect("hex"));
            (name, bytes(), bytes())
        })
        .collect()
}

fn scapy_sadb() -> Sadb {
    Sadb::from_toml("scapy.sa.toml", include_str!("vectors/scapy.sa.toml")).expect("the SA file")
}

#[test]
fn what_scapy_protected_opens_to_what_scapy_had() {
    let vectors = scapy();
    assert_eq!(vectors.len(), 53);
    for (name, protected, clean) in vectors {
        let opened = match scapy_sadb().open(&protected) {
            Ok(Inbound::Transport(opened)) => opened.clean,
            Ok(Inbound::Tunnel(opened)) => opened.inner,
            other => panic!("{name}: {other:?}"),
        };
        assert_eq!(opened, clean, "{name}");
    }
}

#[test]
fn what_scapy_protected_is_protected_again_to_the_same_bytes() {
    for (name, protected, clean) in scapy() {
        let sadb = scapy_sadb();
        let (peeled, recipe) = peeled(&sadb, &protected);
        assert_eq!(peeled, clean, "{name}");
        assert_eq!(sadb.protect(&clean, &recipe), Ok(protected), "{name}");
    }
}

#[test]
fn every_association_of_the_scapy_file_is_used() {
    let sadb = scapy_sadb();
    let used: BTreeSet<SaKey> = scapy()
        .iter()
        .flat_map(|(_, protected, _)| peeled(&sadb, protected).1.associations())
        .collect();
    assert_eq!(used.len(), sadb.len());
}
