//! What every store does, whatever stands behind it: one test a behaviour and store.

use super::*;
use ctx_hub::secret::ClientToken;
use ctx_hub::wire::json;

mod registry;
mod tokens;

pub(super) use registry::*;
pub(super) use tokens::*;

/// Makes a test of every behaviour here for the store of `$fresh`, a [`Fresh`].
macro_rules! store_conformance {
    ($fresh:expr) => {
        store_conformance!(@each $fresh,
            the_same_id_is_stored_once_and_answers_its_sequence,
            a_batch_answers_in_its_order_and_an_empty_one_stores_nothing,
            sequences_rise_without_a_gap_under_sixteen_publishers,
            a_page_holds_the_types_and_bounds_that_were_asked_for,
            a_page_stops_at_its_bytes_and_holds_at_least_one_entry,
            no_page_leaves_out_an_entry_while_others_publish,
            an_entry_reads_back_as_it_was_published,
            a_project_is_registered_once_until_its_client_is_revoked,
            only_the_token_of_a_live_client_is_known,
            clients_are_listed_with_their_project_s_entries,
            statistics_equal_a_recount,
            the_head_is_announced_when_something_is_stored_and_only_then,
            every_entry_has_the_hash_that_follows_from_the_one_before_it,
            a_revoked_client_stores_nothing,
            a_client_stores_no_more_in_a_day_than_it_may_whatever_is_restarted,
            a_caller_who_goes_away_harms_nobody,
            a_closed_store_refuses_everything,
            everything_is_there_after_reopening,
            a_token_lives_until_its_expiry_and_not_longer,
            a_replaced_token_goes_on_for_the_overlap_and_is_replaced_once,
            replacing_a_token_never_lets_it_live_longer,
            a_revocation_ends_every_token_of_the_client,
            a_token_of_somebody_else_is_not_taken_over,
            tokens_of_a_client_are_bounded_and_ended_ones_forgotten,
            who_was_seen_is_kept_and_never_put_back,
        );
    };
    (@each $fresh:expr, $($behaviour:ident,)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $behaviour() {
                crate::store::conformance::$behaviour($fresh).await;
            }
        )*
    };
}

pub(super) async fn the_same_id_is_stored_once_and_answers_its_sequence(mut fresh: Fresh) {
    let one = || draft("one", EntryType::Task, "first");
    let two = || draft("two", EntryType::Task, "");
    let alpha = client("alpha");
    let first = fresh.store.append(&alpha, vec![one()]).await.unwrap();
    assert_eq!(numbers(first), [1]);
    let mixed = fresh
        .store
        .append(&alpha, vec![two(), one(), two()])
        .await
        .unwrap();
    assert_eq!(numbers(mixed), [2, 1, 2]);

    fresh.reopen().await;
    let other = draft("one", EntryType::Learning, "another text");
    let again = fresh
        .store
        .append(&client("beta"), vec![other])
        .await
        .unwrap();
    assert_eq!(numbers(again), [1]);
    let entries = everything(&*fresh.store).await;
    assert_eq!(sequences(&entries), [1, 2]);
    assert_eq!(
        (entries[0].content.as_str(), entries[0].origin.as_str()),
        ("first", "alpha")
    );
    let next = fresh
        .store
        .append(&alpha, vec![draft("three", EntryType::Task, "")])
        .await;
    assert_eq!(numbers(next.unwrap()), [3]);
}

pub(super) async fn a_batch_answers_in_its_order_and_an_empty_one_stores_nothing(fresh: Fresh) {
    let none = fresh
        .store
        .append(&client("alpha"), Vec::new())
        .await
        .unwrap();
    assert!(none.is_empty());
    assert_eq!(*fresh.store.head().borrow(), Sequence::START);
    let batch = ["c", "a", "b"]
        .map(|text| draft(text, EntryType::Task, text))
        .to_vec();
    let answer = fresh.store.append(&client("alpha"), batch).await.unwrap();
    assert_eq!(numbers(answer), [1, 2, 3]);
    let ids: Vec<_> = everything(&*fresh.store)
        .await
        .into_iter()
        .map(|e| e.content)
        .collect();
    assert_eq!(ids, ["c", "a", "b"]);
}

pub(super) async fn sequences_rise_without_a_gap_under_sixteen_publishers(fresh: Fresh) {
    let publishers = (0..16).map(|publisher| {
        let store = Arc::clone(&fresh.store);
        tokio::spawn(async move {
            let client = client(&format!("project-{publisher}"));
            let mut got = Vec::new();
            for n in 0..25 {
                // Half of the ids are everybody's: all publishers race to store them.
                let own = draft(&format!("{publisher}-{n}"), EntryType::Task, "own");
                let shared = draft(&format!("shared-{n}"), EntryType::Task, "shared");
                got.push((own.id().clone(), shared.id().clone()));
                let answer = store.append(&client, vec![own, shared]).await.unwrap();
                assert!(store.head().borrow().get() >= *numbers(answer).iter().max().unwrap());
            }
            got
        })
    });
    for publisher in publishers.collect::<Vec<_>>() {
        publisher.await.unwrap();
    }
    let entries = everything(&*fresh.store).await;
    assert_eq!(
        sequences(&entries),
        (1..=16 * 25 + 25).collect::<Vec<u64>>()
    );
    let ids: std::collections::BTreeSet<_> = entries.iter().map(|entry| &entry.id).collect();
    assert_eq!(ids.len(), entries.len());
    assert_eq!(fresh.store.head().borrow().get(), 16 * 25 + 25);
}

pub(super) async fn a_page_holds_the_types_and_bounds_that_were_asked_for(fresh: Fresh) {
    let types = [
        EntryType::Decision,
        EntryType::Learning,
        EntryType::Decision,
        EntryType::Task,
    ];
    let batch: Vec<_> = (0..40)
        .map(|n| draft(&n.to_string(), types[n % types.len()], ""))
        .collect();
    fresh.store.append(&client("alpha"), batch).await.unwrap();
    let all = everything(&*fresh.store).await;
    let sets: [&[EntryType]; 6] = [
        &EntryType::ALL,
        &[EntryType::Decision],
        &[EntryType::Decision, EntryType::Task],
        &[EntryType::Learning, EntryType::Convention, EntryType::Task],
        &[EntryType::Convention],
        &[],
    ];
    for set in sets.map(|set| set.iter().copied().collect::<TypeSet>()) {
        for (since, until, most) in [
            (0, None, 1000),
            (7, None, 1000),
            (7, Some(31), 1000),
            (3, Some(30), 5),
            (9, Some(9), 9),
            (0, None, 0),
            (u64::MAX, None, 9),
            (0, Some(u64::MAX), 9),
        ] {
            let query = PageQuery {
                since: Sequence::new(since),
                until: until.map(Sequence::new),
                types: set.clone(),
                max_entries: most,
                max_bytes: usize::MAX,
            };
            let expected: Vec<_> = all
                .iter()
                .filter(|entry| entry.sequence.get() > since)
                .filter(|entry| until.is_none_or(|until| entry.sequence.get() <= until))
                .filter(|entry| set.contains(entry.entry_type))
                .take(most)
                .cloned()
                .collect();
            assert_eq!(
                fresh.store.page(query.clone()).await.unwrap(),
                expected,
                "{query:?}"
            );
        }
    }
}

pub(super) async fn a_page_stops_at_its_bytes_and_holds_at_least_one_entry(fresh: Fresh) {
    let batch = (0..10).map(|n| draft(&n.to_string(), EntryType::Task, &"x".repeat(100)));
    fresh
        .store
        .append(&client("alpha"), batch.collect())
        .await
        .unwrap();
    for types in [TypeSet::all(), [EntryType::Task].into_iter().collect()] {
        // Of entries that are alike, a page holds as many messages as begin within its bytes.
        let message = messages(&*fresh.store, query(TypeSet::all())).await;
        let message = message[0].len();
        for (max_bytes, entries) in [
            (0, 1),
            (1, 1),
            (message, 1),
            (message + 1, 2),
            (message * 5 / 2, 3),
            (message * 20, 10),
        ] {
            let query = PageQuery {
                max_bytes,
                ..query(types.clone())
            };
            assert_eq!(
                messages(&*fresh.store, query.clone()).await.len(),
                entries,
                "{max_bytes}"
            );
            assert_eq!(
                fresh.store.page(query).await.unwrap().len(),
                entries,
                "{max_bytes}"
            );
        }
    }
}

pub(super) async fn no_page_leaves_out_an_entry_while_others_publish(fresh: Fresh) {
    const EACH: u64 = 150;
    let types = [
        EntryType::Decision,
        EntryType::Learning,
        EntryType::Convention,
    ];
    let publishers = types.into_iter().map(|entry_type| {
        let store = Arc::clone(&fresh.store);
        tokio::spawn(async move {
            for n in 0..EACH {
                let draft = draft(&format!("{entry_type}-{n}"), entry_type, "");
                store.append(&client("alpha"), vec![draft]).await.unwrap();
            }
        })
    });
    let publishers: Vec<_> = publishers.collect();
    // Nobody publishes a task, so what is asked for is everything: the next page has to begin
    // where the last one ended, and to go on without a hole.
    let types: TypeSet = types.into_iter().collect();
    let mut since = 0;
    while since < 3 * EACH {
        let query = PageQuery {
            since: Sequence::new(since),
            ..query(types.clone())
        };
        for entry in fresh.store.page(query).await.unwrap() {
            since += 1;
            assert_eq!(entry.sequence.get(), since);
        }
    }
    for publisher in publishers {
        publisher.await.unwrap();
    }
}

pub(super) async fn an_entry_reads_back_as_it_was_published(mut fresh: Fresh) {
    let contents = [
        String::new(),
        "one\r\ntwo\rthree\n".to_owned(),
        "before\0after\0".to_owned(),
        "größe 🦀 \u{202e}\u{feff}".to_owned(),
        "'; DROP TABLE entries; --".to_owned(),
        "y".repeat(70 * 1024),
        "é".repeat(1_048_576 / 2),
    ];
    let meta = EntryMeta {
        display_name: "Ada".to_owned(),
        host: "h".to_owned(),
        tool: "t\tt".to_owned(),
        via: String::new(),
    };
    let drafts = contents.iter().enumerate().map(|(n, content)| {
        let time = if n == 0 { i64::MIN } else { i64::MAX };
        let id = id(&format!("id\0{n}"));
        EntryDraft::new(
            id,
            EntryType::ALL[n % 4],
            content.clone(),
            time,
            meta.clone(),
        )
        .unwrap()
    });
    let drafts: Vec<_> = drafts.collect();
    fresh
        .store
        .append(&client("größe"), drafts.clone())
        .await
        .unwrap();
    fresh.reopen().await;
    let entries = everything(&*fresh.store).await;
    assert_eq!(entries.len(), drafts.len());
    for (entry, draft) in entries.iter().zip(&drafts) {
        assert_eq!(entry.content, draft.content());
        assert_eq!(&entry.id, draft.id());
        assert_eq!(entry.entry_type, draft.entry_type());
        assert_eq!(entry.timestamp, draft.timestamp());
        assert_eq!(&entry.meta, draft.meta());
        assert_eq!(entry.origin, "größe");
    }
    // The messages are those of the entries, as everybody writes them.
    let written = entries.iter().map(|entry| {
        let mut message = Vec::new();
        json::write_entry(&mut message, &entry.view());
        String::from_utf8(message).unwrap()
    });
    assert_eq!(
        messages(&*fresh.store, query(TypeSet::all())).await,
        written.collect::<Vec<String>>()
    );
}

pub(super) async fn the_head_is_announced_when_something_is_stored_and_only_then(fresh: Fresh) {
    let mut head = fresh.store.head();
    let listener = tokio::spawn({
        let mut head = fresh.store.head();
        async move { head.wait_for(|head| head.get() >= 2).await.unwrap().get() }
    });
    let batch = || {
        ["a", "b"]
            .map(|text| draft(text, EntryType::Task, ""))
            .to_vec()
    };
    fresh.store.append(&client("alpha"), batch()).await.unwrap();
    assert_eq!(listener.await.unwrap(), 2);
    assert_eq!(head.borrow_and_update().get(), 2);
    fresh.store.append(&client("alpha"), batch()).await.unwrap();
    let token = ClientToken::random().unwrap();
    fresh
        .store
        .register("alpha".parse().unwrap(), token.hash().into())
        .await
        .unwrap();
    assert!(!head.has_changed().unwrap());
}

pub(super) async fn every_entry_has_the_hash_that_follows_from_the_one_before_it(mut fresh: Fresh) {
    for round in 0..3 {
        let publishers = (0..4).map(|publisher| {
            let store = Arc::clone(&fresh.store);
            tokio::spawn(async move {
                for n in 0..10 {
                    // The second of them is known from the second round on.
                    let own = draft(&format!("{round}-{publisher}-{n}"), EntryType::Task, "own");
                    let shared = draft(&format!("shared-{n}"), EntryType::Decision, "shared");
                    store
                        .append(&client("alpha"), vec![own, shared])
                        .await
                        .unwrap();
                }
            })
        });
        for publisher in publishers.collect::<Vec<_>>() {
            publisher.await.unwrap();
        }
        let end = chained(&*fresh.store).await;
        fresh.reopen().await;
        assert_eq!(chained(&*fresh.store).await, end);
    }
    let head = fresh.store.head().borrow().get();
    for none in [head + 1, u64::MAX] {
        let chain = fresh.store.chain_at(Sequence::new(none)).await.unwrap();
        assert_eq!(chain, None);
    }
    let genesis = fresh.store.chain_at(Sequence::START).await.unwrap();
    assert_eq!(genesis, Some(Chain::genesis(fresh.store.hub_id())));
}

pub(super) async fn a_caller_who_goes_away_harms_nobody(fresh: Fresh) {
    let alpha = client("alpha");
    for n in 0..50 {
        let draft = draft(&format!("gone-{n}"), EntryType::Task, "");
        let append = fresh.store.append(&alpha, vec![draft]);
        // Polled at most once: whether it is stored is open, that nothing breaks is not.
        tokio::select! {
            biased;
            answer = append => drop(answer.unwrap()),
            () = std::future::ready(()) => {}
        }
    }
    let last = fresh
        .store
        .append(&alpha, vec![draft("stays", EntryType::Task, "")])
        .await
        .unwrap();
    let entries = everything(&*fresh.store).await;
    assert_eq!(
        sequences(&entries),
        (1..=last[0].get()).collect::<Vec<u64>>()
    );
    assert_eq!(entries.last().unwrap().id, id("stays"));
}

pub(super) async fn everything_is_there_after_reopening(mut fresh: Fresh) {
    let hub_id = fresh.store.hub_id().clone();
    let batch = (0..300).map(|n| draft(&n.to_string(), EntryType::Convention, "text"));
    fresh
        .store
        .append(&client("alpha"), batch.collect())
        .await
        .unwrap();
    let before = everything(&*fresh.store).await;
    fresh.reopen().await;
    assert_eq!(fresh.store.hub_id(), &hub_id);
    assert_eq!(fresh.store.head().borrow().get(), 300);
    assert_eq!(everything(&*fresh.store).await, before);
}
