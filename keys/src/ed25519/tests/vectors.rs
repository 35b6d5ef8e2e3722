//! The twelve vectors of "Taming the many EdDSAs" (Chalkias, Garillot, Nikolaenko; 2020), in their order.
//!
//! `message`, `key` and `signature` are the published ones. A minisign file has a second signature, over the first one
//! and the comment. It was made for each vector with the secret behind the vector's key, so that what is decided on
//! the file is decided on the published signature alone.

/// One published vector, as the parts of a minisign file without prehash, all bytes in hex.
pub(super) struct Vector {
    pub(super) what: &'static str,
    pub(super) key: &'static str,
    pub(super) message: &'static str,
    pub(super) signature: &'static str,
    pub(super) comment: &'static str,
    pub(super) global_signature: &'static str,
    pub(super) minisign_verify_accepts: bool,
    pub(super) we_accept: bool,
}

pub(super) const SPECCHECK: [Vector; 12] = [
    Vector {
        what: "S is 0, A and R have small order",
        key: "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
        message: "8c93255d71dcab10e8f379c26200f3c7bd5f09d9bc3068d3ef4edeb4853022b6",
        signature: "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a\
                    0000000000000000000000000000000000000000000000000000000000000000",
        comment: "speccheck 0",
        global_signature: "3c726533ba062b0e2cc72b8aa4233ebd5ae3391bc4c789b8d61ccaf387fc8f44\
                           8ee13cc2804ffb9978a533735225a8dde9f3f081dc0f2c0a638195a2e3587f08",
        minisign_verify_accepts: true,
        we_accept: false,
    },
    Vector {
        what: "A has small order, R a part of small order",
        key: "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
        message: "9bd9f44f4dcc75bd531b56b2cd280b0bb38fc1cd6d1230e14861d861de092e79",
        signature: "f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43\
                    a5bb704786be79fc476f91d3f3f89b03984d8068dcf1bb7dfc6637b45450ac04",
        comment: "speccheck 1",
        global_signature: "d3b2cda39c934016a41c9523a5bbeca4ae058db9e6ff8dfb804d28cd780dbeea\
                           7a7b672df244be2bc87da5f6ca684cc890adf8b598d2e5cc1e77fbd83c91c10b",
        minisign_verify_accepts: true,
        we_accept: false,
    },
    Vector {
        what: "R has small order, A a part of small order",
        key: "f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43",
        message: "aebf3f2601a0c8c5d39cc7d8911642f740b78168218da8471772b35f9d35b9ab",
        signature: "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa\
                    8c4bd45aecaca5b24fb97bc10ac27ac8751a7dfe1baff8b953ec9f5833ca260e",
        comment: "speccheck 2",
        global_signature: "10aa0aff924482d8f626052af8773f1e49cb3ab9680283d594367258c862c0a4\
                           598e6095ca165e75c5dac2c84018fbdb0fd9a5ab8d8c5408e7e7d0cb46deb709",
        minisign_verify_accepts: true,
        we_accept: false,
    },
    Vector {
        what: "A and R have a part of small order, the equation holds",
        key: "cdb267ce40c5cd45306fa5d2f29731459387dbf9eb933b7bd5aed9a765b88d4d",
        message: "9bd9f44f4dcc75bd531b56b2cd280b0bb38fc1cd6d1230e14861d861de092e79",
        signature: "9046a64750444938de19f227bb80485e92b83fdb4b6506c160484c016cc1852f\
                    87909e14428a7a1d62e9f22f3d3ad7802db02eb2e688b6c52fcd6648a98bd009",
        comment: "speccheck 3",
        global_signature: "c8524abdfedae2804b536747db55b60aa1c1115f72b17dc6fa0ec55e8ee62d90\
                           d80f77b0b60a25f291aa5097a22cfc5313e673eb2e41c3b5850be3d2b07db605",
        minisign_verify_accepts: true,
        we_accept: true,
    },
    Vector {
        what: "A and R have a part of small order, the equation holds only with a cofactor",
        key: "cdb267ce40c5cd45306fa5d2f29731459387dbf9eb933b7bd5aed9a765b88d4d",
        message: "e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec4011eaccd55b53f56c",
        signature: "160a1cb0dc9c0258cd0a7d23e94d8fa878bcb1925f2c64246b2dee1796bed512\
                    5ec6bc982a269b723e0668e540911a9a6a58921d6925e434ab10aa7940551a09",
        comment: "speccheck 4",
        global_signature: "bdc0ba7f212cdbd07311129aaed308d4a33f409d18a82a3672040ff9011cf37a\
                           8833dfc5f8e5a0915361fc6fc5f922ec3df7eff41759131d281109a0ea168a0e",
        minisign_verify_accepts: false,
        we_accept: false,
    },
    Vector {
        what: "A has a part of small order, the equation holds only with a cofactor",
        key: "cdb267ce40c5cd45306fa5d2f29731459387dbf9eb933b7bd5aed9a765b88d4d",
        message: "e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec4011eaccd55b53f56c",
        signature: "21122a84e0b5fca4052f5b1235c80a537878b38f3142356b2c2384ebad4668b7\
                    e40bc836dac0f71076f9abe3a53f9c03c1ceeeddb658d0030494ace586687405",
        comment: "speccheck 5",
        global_signature: "475d939d49314f04e710e440c285199644324d33e70ce74814038864d5f7ed63\
                           771e4e0ac2fe4136193319f6103f0ad0c778e226aee54ff2897203a43091da07",
        minisign_verify_accepts: false,
        we_accept: false,
    },
    Vector {
        what: "S is above the group order",
        key: "442aad9f089ad9e14647b1ef9099a1ff4798d78589e66f28eca69c11f582a623",
        message: "85e241a07d148b41e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec40",
        signature: "e96f66be976d82e60150baecff9906684aebb1ef181f67a7189ac78ea23b6c0e\
                    547f7690a0e2ddcd04d87dbc3490dc19b3b3052f7ff0538cb68afb369ba3a514",
        comment: "speccheck 6",
        global_signature: "f1ad6d2413cf8c67c3354982279aff9d95bfff3e1a360313ca9c700859c1ad56\
                           066410978c93b79a4b83e1fafb7ede784ddf7e0a446c3432d5f7059ac3b1ca01",
        minisign_verify_accepts: false,
        we_accept: false,
    },
    Vector {
        what: "S is far above the group order",
        key: "442aad9f089ad9e14647b1ef9099a1ff4798d78589e66f28eca69c11f582a623",
        message: "85e241a07d148b41e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec40",
        signature: "8ce5b96c8f26d0ab6c47958c9e68b937104cd36e13c33566acd2fe8d38aa1942\
                    7e71f98a473474f2f13f06f97c20d58cc3f54b8bd0d272f42b695dd7e89a8c22",
        comment: "speccheck 7",
        global_signature: "764ca54783e4ca8d8c1181717a7b500a256c6900e6d13e8d22e9cc33eb6d33f0\
                           32a8bfed58f151910d71bd8f2c78c2499a50b660b373f6441220eee04002650d",
        minisign_verify_accepts: false,
        we_accept: false,
    },
    Vector {
        what: "R is encoded above the modulus, the hash took the canonical encoding",
        key: "f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43",
        message: "9bedc267423725d473888631ebf45988bad3db83851ee85c85e241a07d148b41",
        signature: "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff\
                    03be9678ac102edcd92b0210bb34d7428d12ffc5df5f37e359941266a4e35f0f",
        comment: "speccheck 8",
        global_signature: "59775f4e769533b45709c3f43828efc64504082e327c9964d3aba1bbf5b63e22\
                           b3b753c61d5a0aab1465f98bcff26ddfaf7e577a49afff1abdcabf63fc306d06",
        minisign_verify_accepts: false,
        we_accept: false,
    },
    Vector {
        what: "R is encoded above the modulus, the hash took the bytes as they are",
        key: "f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43",
        message: "9bedc267423725d473888631ebf45988bad3db83851ee85c85e241a07d148b41",
        signature: "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff\
                    ca8c5b64cd208982aa38d4936621a4775aa233aa0505711d8fdcfdaa943d4908",
        comment: "speccheck 9",
        global_signature: "821f2347a5ca71aafc09749939cdfbca4664b86e14e204c662c8fa2169eead56\
                           48fbbc522866297e7bcc9cff481c3196ab7c29ca874ded9c105fd9f7eef0c105",
        minisign_verify_accepts: false,
        we_accept: false,
    },
    Vector {
        what: "A has small order and a second encoding, the hash took the canonical one",
        key: "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        message: "e96b7021eb39c1a163b6da4e3093dcd3f21387da4cc4572be588fafae23c155b",
        signature: "a9d55260f765261eb9b84e106f665e00b867287a761990d7135963ee0a7d59dc\
                    a5bb704786be79fc476f91d3f3f89b03984d8068dcf1bb7dfc6637b45450ac04",
        comment: "speccheck 10",
        global_signature: "59744da3174dccf971b8821083f7819d92e8b0ad93a9068038311c706c35968c\
                           bfbca51f3e284fafd71691d18f31d066ab725fc4dfdc543ebe9fdf2c98a19107",
        minisign_verify_accepts: false,
        we_accept: false,
    },
    Vector {
        what: "A has small order and a second encoding, the hash took the bytes as they are",
        key: "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        message: "39a591f5321bbe07fd5a23dc2f39d025d74526615746727ceefd6e82ae65c06f",
        signature: "a9d55260f765261eb9b84e106f665e00b867287a761990d7135963ee0a7d59dc\
                    a5bb704786be79fc476f91d3f3f89b03984d8068dcf1bb7dfc6637b45450ac04",
        comment: "speccheck 11",
        global_signature: "7208dc39f5b017bd3981f16a49438ef4afc59bc43ba2115e46755a4ce9bf34be\
                           288b02d1bf1518a73ef8d0e96bd36728b5654779f915ff292a1973e40c2d9506",
        minisign_verify_accepts: true,
        we_accept: false,
    },
];
