//! tollgate-abi
