//! The server machine: any head about any upload. The first bytes choose server and upload, then the method, then one
//! header per line.
use std::time::Duration;

use http::{HeaderValue, Method, Request};
use tus_core::server::{Decision, Server, UploadInfo, UploadKind, refusal, refusal_about};
use tus_core::{ChecksumAlgorithm, Extension, ServerCapabilities, UploadLength};

use crate::heads;

pub(crate) fn run(bytes: &[u8]) {
    let Some((choices, rest)) = bytes.split_first_chunk::<6>() else {
        return;
    };
    let now = heads::wall();
    let [offered, more, kind, length, offset, other] = *choices;
    let bits = u16::from_le_bytes([offered, more]);
    let extensions = Extension::ALL.into_iter().enumerate();
    let server = Server::new(ServerCapabilities {
        extensions: extensions
            .filter(|(bit, _)| bits & (1 << bit) != 0)
            .map(|(_, extension)| extension)
            .collect(),
        max_size_bytes: (other & 1 > 0).then_some(200),
        checksum_algorithms: ChecksumAlgorithm::ALL.to_vec(),
    })
    .with_expiry(Duration::from_secs(60));
    let mut info = UploadInfo::new(if other & 2 > 0 {
        UploadLength::Deferred
    } else {
        UploadLength::Known(u64::from(length.max(offset)))
    });
    info.offset = u64::from(offset);
    info.kind = match kind % 3 {
        0 => UploadKind::Plain,
        1 => UploadKind::Partial,
        _ => UploadKind::Final(HeaderValue::from_static("final;/a")),
    };
    info.expires = (other & 4 > 0).then_some(now + Duration::from_secs(u64::from(other >> 4)));
    let info = Some(info).filter(|_| other & 8 > 0);

    let mut lines = heads::lines(rest);
    let mut head = Request::new(());
    if let Some(Ok(method)) = lines.next().map(Method::from_bytes) {
        *head.method_mut() = method;
    }
    *head.headers_mut() = heads::headers(lines);

    let decision = server.decide(&head, info.as_ref(), now);
    assert_eq!(decision, server.decide(&head, info.as_ref(), now));
    match (decision, info) {
        (Err(rejection), info) => {
            assert!(refusal(&rejection).status().is_client_error());
            if let Some(info) = info {
                let _ = refusal_about(&rejection, &info);
            }
        }
        (Ok(Decision::Append(append)), Some(mut info)) => {
            assert_eq!(append.at, info.offset);
            assert!(
                append
                    .announced
                    .is_none_or(|announced| announced <= append.limit)
            );
            assert!(!matches!(info.kind, UploadKind::Final(_)), "CC-13");
            assert!(!info.is_expired(now));
            info.appended(&append, append.limit);
            assert!(
                info.length.remaining(info.offset).is_some(),
                "beyond the end"
            );
            let _ = append.done(&info);
        }
        (Ok(Decision::Create(create)), None) => {
            let _ = create.done("/files/1", &create.info);
        }
        (Ok(Decision::Head(head)), Some(info)) => {
            let _ = head.done(&info);
        }
        (Ok(Decision::Join(join)), None) => {
            assert!(!join.parts.is_empty());
            let part = UploadInfo {
                kind: UploadKind::Partial,
                ..UploadInfo::new(UploadLength::Known(u64::MAX))
            };
            let _ = join.check(join.parts.iter().map(|_| Some(&part)), now);
            let _ = join.done("/files/1");
        }
        (Ok(Decision::Options(options)), _) => {
            let _ = options.done();
        }
        (Ok(Decision::Terminate(terminate)), Some(_)) => {
            let _ = terminate.done();
        }
        (Ok(decision), info) => panic!("{decision:?} about {info:?}"),
    }
}
