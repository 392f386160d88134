//! Which implementation of TLS's ciphers this machine is fastest with.

use rustls::crypto::{aws_lc_rs, ring};

/// Has TLS in this process use the faster of two implementations, unless the process has chosen one already. To be called by a
/// program, before its first connection; a library leaves the choice to its program. Without it, it is aws-lc-rs.
///
/// Measured with AES-GCM, see `benches/README.md`: where a processor has the wide AES instructions and not AVX-512, ring
/// encrypts 1.6 times as fast. Keys are agreed upon by aws-lc-rs in any case, whose key exchange also holds against quantum
/// computers.
pub fn use_fastest_ciphers() {
    let mut provider = aws_lc_rs::default_provider();
    if is_ring_faster() {
        provider.cipher_suites = ring::default_provider().cipher_suites;
    }
    // Somebody else was first.
    let _ = provider.install_default();
}

/// aws-lc uses the wide instructions together with AVX-512 only.
#[cfg(target_arch = "x86_64")]
fn is_ring_faster() -> bool {
    is_x86_feature_detected!("vaes")
        && is_x86_feature_detected!("vpclmulqdq")
        && is_x86_feature_detected!("avx2")
        && !is_x86_feature_detected!("avx512f")
}

#[cfg(not(target_arch = "x86_64"))]
fn is_ring_faster() -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_chosen_speaks_both_versions_and_agrees_on_keys_against_quantum_computers() {
        use_fastest_ciphers();
        let chosen = rustls::crypto::CryptoProvider::get_default().expect("one was chosen");
        let versions: Vec<_> = chosen
            .cipher_suites
            .iter()
            .map(|suite| suite.version().version)
            .collect();
        assert!(versions.contains(&rustls::ProtocolVersion::TLSv1_3));
        assert!(versions.contains(&rustls::ProtocolVersion::TLSv1_2));
        let groups = chosen.kx_groups.iter().map(|group| group.name());
        let groups: Vec<_> = groups.collect();
        assert!(groups.contains(&rustls::NamedGroup::X25519MLKEM768));
    }
}
