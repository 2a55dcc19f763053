//! What the host pays for a joiner's grant: `cargo bench -p pillion-caps`.

use std::hint::black_box;

use criterion::{BatchSize, Criterion};
use pillion_caps::{
    Audience, Binding, Grant, Ledger, PeerEndpoint, Proof, ProofContext, PublicKey, Right, Rights,
    Role, SecretKey, Terms, UnixMillis,
};

const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    for passed_on in [0, 4] {
        bench(&mut criterion, passed_on).expect("the benchmark's own grants are valid");
    }
    criterion.final_summary();
}

fn bench(criterion: &mut Criterion, passed_on: u8) -> Result<(), Box<dyn std::error::Error>> {
    let [session, identity, link] = [1, 2, 3].map(|seed| SecretKey::from_bytes(&[seed; 32]));
    let root = Grant::issue(&session, terms(session.public(), link.public()), [0; 16])?;
    let mut grant = root.clone();
    for depth in 1..=passed_on {
        let terms = terms(session.public(), link.public());
        grant = grant.narrow(&link, terms, [depth; 16])?;
    }
    let context = ProofContext {
        binding: Binding::tls_exporter([7; 32]),
        host_endpoint: session.public(),
        viewer_endpoint: PeerEndpoint::Proved(SecretKey::from_bytes(&[4; 32]).public()),
        session: session.public(),
    };
    let id = Some(grant.id());
    let hello = Proof::new(&identity, &context, id, Role::Identity);
    let possession = Proof::new(&link, &context, id, Role::Link);
    let mut issued = Ledger::new(session.public());
    issued.issue(&root)?;
    let bytes = grant.to_bytes();

    criterion.bench_function(&format!("prove/passed on {passed_on} times"), |bencher| {
        bencher.iter(|| Proof::new(black_box(&identity), &context, id, Role::Identity));
    });
    criterion.bench_function(&format!("read/passed on {passed_on} times"), |bencher| {
        bencher.iter(|| Grant::from_bytes(black_box(&bytes)));
    });
    criterion.bench_function(&format!("join/passed on {passed_on} times"), |bencher| {
        bencher.iter_batched_ref(
            || issued.clone(),
            |ledger| {
                let grant = Grant::from_bytes(black_box(&bytes))?;
                let person = hello.verify_identity(identity.public(), &context, id)?;
                let redemption = ledger.redeem(&grant, &person, Some(&possession), NOW)?;
                ledger.admit(redemption, NOW)
            },
            BatchSize::SmallInput,
        );
    });

    let person = hello.verify_identity(identity.public(), &context, id)?;
    let redemption = issued.redeem(&grant, &person, Some(&possession), NOW)?;
    let verified = issued.admit(redemption, NOW)?;
    criterion.bench_function(&format!("check/passed on {passed_on} times"), |bencher| {
        bencher.iter(|| issued.check(black_box(&verified), NOW));
    });
    Ok(())
}

fn terms(session: PublicKey, link: PublicKey) -> Terms {
    Terms {
        session,
        rights: Rights::EDIT.with(Right::Delegate),
        audience: Audience::Link(link),
        not_before: NOW,
        expires: NOW.saturating_add(8 * 3600 * 1000),
        uses: None,
    }
}
