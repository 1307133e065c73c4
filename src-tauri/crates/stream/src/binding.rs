//! What ties a login to the one TLS channel that it runs in, so that nobody between can pass it on (RFC 5056).

use rustls::ClientConnection;
use rustls::ProtocolVersion::TLSv1_3;
use sha2::{Digest, Sha224, Sha256, Sha384, Sha512};
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::signature_algorithm::RsaSsaPssParams;

/// A channel-binding type, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Binding {
    /// To the server's certificate (RFC 5929 §4).
    ServerEndPoint,
    /// To keys that only the two ends have (RFC 9266).
    Exporter,
}

impl Binding {
    /// The registered name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::ServerEndPoint => "tls-server-end-point",
            Self::Exporter => "tls-exporter",
        }
    }
}

/// What a TLS channel can be bound by.
#[derive(Clone, Default)]
pub(crate) struct Channel {
    exporter: Option<Vec<u8>>,
    end_point: Option<Vec<u8>>,
}

impl Channel {
    /// To be asked after the handshake.
    pub(crate) fn of(tls: &ClientConnection) -> Self {
        // Before TLS 1.3 the exporter is only unique with an extension that cannot be asked for here (RFC 9266 §4.2).
        let exporter = (tls.protocol_version() == Some(TLSv1_3))
            .then(|| tls.export_keying_material(vec![0; 32], b"EXPORTER-Channel-Binding", Some(&[])))
            .and_then(Result::ok);
        let leaf = tls.peer_certificates().and_then(<[_]>::first);
        Self {
            exporter,
            end_point: leaf.and_then(|leaf| certificate_hash(leaf)),
        }
    }

    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn fixed(exporter: Option<&[u8]>, end_point: Option<&[u8]>) -> Self {
        Self {
            exporter: exporter.map(<[u8]>::to_vec),
            end_point: end_point.map(<[u8]>::to_vec),
        }
    }

    /// The bytes that both ends compute alike.
    pub(crate) fn value(&self, binding: Binding) -> Option<&[u8]> {
        match binding {
            Binding::ServerEndPoint => self.end_point.as_deref(),
            Binding::Exporter => self.exporter.as_deref(),
        }
    }

    /// The strongest possible of those that are `wanted`.
    pub(crate) fn strongest(&self, wanted: impl Fn(Binding) -> bool) -> Option<Binding> {
        [Binding::Exporter, Binding::ServerEndPoint]
            .into_iter()
            .find(|binding| self.value(*binding).is_some() && wanted(*binding))
    }
}

/// The certificate's hash, by the function of its own signature but at least SHA-256 (RFC 5929 §4.1). None for
/// signatures that name no function, such as Ed25519.
fn certificate_hash(der: &[u8]) -> Option<Vec<u8>> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let algorithm = &certificate.signature_algorithm;
    let name = match algorithm.algorithm.to_id_string() {
        // RSASSA-PSS says it in its parameters.
        name if name == "1.2.840.113549.1.1.10" => {
            let params = RsaSsaPssParams::try_from(algorithm.parameters.as_ref()?).ok()?;
            params.hash_algorithm_oid().to_id_string()
        }
        name => name,
    };
    Some(match name.as_str() {
        // MD5 with RSA; SHA-1 with RSA, DSA, ECDSA and alone.
        "1.2.840.113549.1.1.4" | "1.2.840.113549.1.1.5" | "1.2.840.10040.4.3" | "1.2.840.10045.4.1"
        | "1.3.14.3.2.26"
        // SHA-256 with RSA, DSA, ECDSA and alone; so the others.
        | "1.2.840.113549.1.1.11" | "2.16.840.1.101.3.4.3.2" | "1.2.840.10045.4.3.2" | "2.16.840.1.101.3.4.2.1" => {
            Sha256::digest(der).to_vec()
        }
        "1.2.840.113549.1.1.14" | "2.16.840.1.101.3.4.3.1" | "1.2.840.10045.4.3.1" | "2.16.840.1.101.3.4.2.4" => {
            Sha224::digest(der).to_vec()
        }
        "1.2.840.113549.1.1.12" | "2.16.840.1.101.3.4.3.3" | "1.2.840.10045.4.3.3" | "2.16.840.1.101.3.4.2.2" => {
            Sha384::digest(der).to_vec()
        }
        "1.2.840.113549.1.1.13" | "2.16.840.1.101.3.4.3.4" | "1.2.840.10045.4.3.4" | "2.16.840.1.101.3.4.2.3" => {
            Sha512::digest(der).to_vec()
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_hashed_as_it_is_signed() {
        use rcgen::{
            CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519,
        };
        for (algorithm, length) in [
            (&PKCS_ECDSA_P256_SHA256, Some(32)),
            (&PKCS_ECDSA_P384_SHA384, Some(48)),
            (&PKCS_ED25519, None),
        ] {
            let key = KeyPair::generate_for(algorithm).unwrap();
            let params = CertificateParams::new(vec!["waxwing.test".to_owned()]).unwrap();
            let certificate = params.self_signed(&key).unwrap();
            let hash = certificate_hash(certificate.der());
            assert_eq!(hash.as_ref().map(Vec::len), length, "{algorithm:?}");
            if let Some(hash) = hash.filter(|hash| hash.len() == 48) {
                assert_eq!(hash, Sha384::digest(certificate.der()).to_vec());
            }
        }
    }

    /// Certificates of `openssl req -x509`, their hashes by `sha256sum` and its kin.
    #[test]
    fn certificates_signed_with_rsa_are_hashed_as_openssl_signed_them() {
        for (der, expected) in RSA {
            let hash = certificate_hash(&unhex(der)).unwrap();
            assert_eq!(hash, unhex(expected));
        }
    }

    #[test]
    fn what_is_no_certificate_binds_nothing() {
        for bytes in [
            &b""[..],
            b"hello",
            &[0x30, 0x80],
            &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff],
        ] {
            assert_eq!(certificate_hash(bytes), None);
        }
    }

    fn unhex(digits: &str) -> Vec<u8> {
        let pairs = digits.as_bytes().chunks(2);
        pairs
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    }

    /// MD5, SHA-1, SHA-384, SHA-512, RSASSA-PSS with SHA-256 and with SHA-512.
    const RSA: &[(&str, &str)] = &[
        (
            "3082019c30820105021441a524693acaedc44969940e3966444c4e783f66300d06092a864886f70d0101040500300c310a300806\
             035504030c01773020170d3236313132313137323832395a180f32313236313032383137323832395a300c310a30080603550403\
             0c017730819f300d06092a864886f70d010101050003818d0030818902818100c1de4949a4466494de59f0ba2693edc1ca8c3c56\
             adecc8c326610e30cb0d19e69716a1f2b1fbacfa9aa0613f3185ea6156ec00e2d9bd8fee4e4858bea8d08246e00efe88fe7eaec6\
             8c445ae9f7fdd33f24e7ccfc2e99f9073b7286896d5ac0023f5d479e27d0686276b4d5b65c86b7a4ecfe0af914037c2d76d79667\
             8e6665130203010001300d06092a864886f70d010104050003818100197da5b5ca3ed85a7230123d8ad758fc73a6bfbe96fe85e2\
             dfccfb3255eac8bd69aef689a640d1428a75f87bcdc8fbaa0dceb5b8a9fa9a336be2832ed4cfea9ab078e09807cbf484ee59931c\
             330de58d322591fc5a64e74ae5c80c39cfcfc4fae7ccb10aa124ace36057c3d8de815ef0639e10e2ce0d8be5d98f44cf69c8a919",
            "591a63a35a1e0c228ff5e7b9ddf002b436752220c5ae1beb8f4ac4306e145a7d",
        ),
        (
            "3082019c3082010502142828e4c9f99c5291bbee28c845f948addee289f0300d06092a864886f70d0101050500300c310a300806\
             035504030c01773020170d3236313132313137323832395a180f32313236313032383137323832395a300c310a30080603550403\
             0c017730819f300d06092a864886f70d010101050003818d0030818902818100a2accae6643159ffbf3609db3481ebb30ecb422d\
             21316f484f5331905a5b9c2f1d4fc7a3745bc77de9b3433501fe0b117bd5388467a0b3cca0118ddac4c9bb217ab8446ebceb7523\
             266f8059729a92d4b2ebb52d4d29d2f01edf448443f1ec6223ef1591f9dd6916085298ed53b1edd52f7fdad409bf937e85a32f79\
             6af6a61b0203010001300d06092a864886f70d01010505000381810015ba5b678b410ebb1001950d45f0c8d30c2f5b3b70edf088\
             12f31271baed3a7070c10c5dbe79a802e900ee41102c7518e649a371f6241801c57f9d151f99ea67103597d020d2c6c8606f1b69\
             a229e5c5cde4bb0d74b05a8105138568316d866ed2031bbee0c0fd1f679bda6aa5c93adfc6d7d8534ca652b58594ae33d58f9d9f",
            "a6cb36517de84c4cb2ed4756748d74752fdcf33a666bfbf0ea903ea3d4905b55",
        ),
        (
            "3082019c3082010502140e910a0f7804b8febe46f69df8ae83f80d1a6950300d06092a864886f70d01010c0500300c310a300806\
             035504030c01773020170d3236313132313137323832395a180f32313236313032383137323832395a300c310a30080603550403\
             0c017730819f300d06092a864886f70d010101050003818d0030818902818100c7b3af59b24a5def861a1e72b520437e41261c01\
             9ecb86f0886b803374171d126c6ad32b62b72a5670eaa61c12103eaeffef342e58c362a6f5d58e57710a9db8c34c0e28be82af5d\
             b9c36497615234beca1b4da9cfece9cf4872d82136c884c9f76bae77c0ff1e6e304357ad0bd96768d55e211346c58282db4fecc0\
             0c9ea86d0203010001300d06092a864886f70d01010c0500038181007fd0ab4564468c13826f2b683d215004de4c7ba3c33e9014\
             fb968569eedf6b0267d863f2b0d27c3e67038da2dbe6efa7fa0ecd7e711a4b61f1c890039f54e083c966f241312c55065047d93e\
             d2aa8f42232da54955d68790f976ca2ff7b6991cd4279acf1f859e01fdc4bb76f1e2eee45f8c1cac8ac9c831dddca67b5a064831",
            "2e5004655505db92744fdbad834c6ab15a704c0dff06ff334437b6d9ec2ad851f44c308ed848a602620c14023efa5e87",
        ),
        (
            "3082019c3082010502144ec90453463b5442b2d387efba19e3ea15aa7a9c300d06092a864886f70d01010d0500300c310a300806\
             035504030c01773020170d3236313132313137323832395a180f32313236313032383137323832395a300c310a30080603550403\
             0c017730819f300d06092a864886f70d010101050003818d0030818902818100ad50f6a24465efc4625eb0b35a8c1c5c0a1a0661\
             0b3cc767ea3ca0049477c9b81612932caa9df7bdf3ae809c29bb6d2048158e63f0003f4ba67f85acb8220ca6d2a31d364a3a93f7\
             228b9a6a455f558e8948390664a4fd213a65317509b8e39ff5810edef99784cdbe3e9662419690e6030459bae37d168b4b9e3b1a\
             a7f5a4750203010001300d06092a864886f70d01010d0500038181006f4ab42a25677b30774f2440d18cc93ef65c974971824f07\
             a27515646cac625315a72f4f660ee01bc7ce6b43b89d991113a46e63e62e7111b6e9d61ba333903f8e0c6e271c19888d8436278a\
             46b7ceb8299d028e9e38c2cc4c8dbb8954167a8f1f8109ea3412985de99435afff377ae65f291f92d7f227c544964faf0c0eb101",
            "b5d61262659f528520f96a0c12b990f1d196c22009f398e5d22efd4cbb2ad1aeefd54ce5a4418e15c5291ed6f9bab0cb5747e613489eee5e6392be0827c08eb3",
        ),
        (
            "30820204308201390214218bc1a0b322ac9cf671fae216ccd7ceffab043d304106092a864886f70d01010a3034a00f300d060960\
             86480165030402010500a11c301a06092a864886f70d010108300d06096086480165030402010500a20302015e300c310a300806\
             035504030c01773020170d3236313132313137323832395a180f32313236313032383137323832395a300c310a30080603550403\
             0c017730819f300d06092a864886f70d010101050003818d0030818902818100b866c7f21aabd45bbf90afed0bc67be917e1134d\
             5438bc11135f4ebb94832fd8c6e9b6c1ba3ebdb24c85303927972eb818422314d5d4c89ac7080605a4e1e64381f872253930f16c\
             93c2463f77807b1f315630f88fef119fa4febf20a48670f5024522cdec7ffce3e94d8fb61586e2185bfe7b63ffa97f54dcc0315a\
             4160a45f0203010001304106092a864886f70d01010a3034a00f300d06096086480165030402010500a11c301a06092a864886f7\
             0d010108300d06096086480165030402010500a20302015e038181008370187dbdf00d2fb62036fb0459d3df47601d96c6669901\
             b465d7910b826a1b76b9fc4ace97cbe09f796d65236ac705c491335aba0f5e9f33b22a4154fb5912eb7160d0dbe9c49e7b39195b\
             8ea203c8b6e638ba983a500f72bc8d8fd5e7fb2163cf3b09a16236c03a7eb7e84fa2f1180ef1589e19370023dad09415ab5130cb",
            "d10607e0d89ff4f94405b1ee11a894e1303230db85541abaa1d5f6cc7bcb2a4c",
        ),
        (
            "308202043082013902146d17cfe2d0cdc11e92547bfa379ce0b3aac79f2c304106092a864886f70d01010a3034a00f300d060960\
             86480165030402030500a11c301a06092a864886f70d010108300d06096086480165030402030500a203020120300c310a300806\
             035504030c01773020170d3236313132313137323832395a180f32313236313032383137323832395a300c310a30080603550403\
             0c017730819f300d06092a864886f70d010101050003818d0030818902818100ac53bf8914805f27fdc6d2169216a3e25ed65ef3\
             4b38c6099ce3e89a3184d014be404d50121104f24eb62576cb38b0c76b489e16830aee5c092d18386223f81ae004472730376998\
             f06fd7922c980f51bfea194ebd486191e7a3407b8dc36a823fd6b424f07a6d2f2c44ec2e2c0848edeefe06b4e6bf282d661b5744\
             a2f8dcf50203010001304106092a864886f70d01010a3034a00f300d06096086480165030402030500a11c301a06092a864886f7\
             0d010108300d06096086480165030402030500a20302012003818100aa3fb50905ce9bde6f50026dd0910f42754f1772e878efb7\
             c885f0ab5aa27833fee0ac17f8452f170687a828b898462c813f8a363855085bee2be4f276e0a9f463f1ad5e84cfc586845cccbc\
             8d29d10b13cc7bf1068457f8b282f6f2de88eed77e8fce0aaf4f0b66a61db4fb0f13870e92888bb9f401f1f6662b9665e78ec132",
            "533fa10df5504c5b0c5a7483cca76438d6517213c990bcef2f09f649f78c31d47bdaf7f845e8f577e29dcb6230292d1e69fd5923a8a3c9c0e3b981794e0fc165",
        ),
    ];
}
