//! Framework objects: handles, attributes, parents and deletion.

use wdk_sys_portable::_WDF_EXECUTION_LEVEL as level;
use wdk_sys_portable::_WDF_SYNCHRONIZATION_SCOPE as scope;
use wdk_sys_portable::PWDF_OBJECT_ATTRIBUTES;
use wdk_sys_portable::STATUS_INFO_LENGTH_MISMATCH;
use wdk_sys_portable::WDF_OBJECT_ATTRIBUTES;
use wdk_sys_portable::WDFOBJECT;

use super::context;
use super::context::Context;
use super::device::Device;
use super::driver::Driver;
use super::file::File;
use super::memory::Memory;
use super::queue::Queue;
use super::registry::RegistryKey;
use super::request::Request;
use super::spinlock::SpinLock;
use super::timer::Timer;
use super::work_item::WorkItem;
use crate::exports::call_driver;
use crate::machine::Kernel;
use crate::machine::irql;
use crate::memory::Purpose;
use crate::nt::NtStatus;
use crate::verifier::ObjectId;

/// What an object is.
pub(super) enum Kind {
    Driver(Driver),
    Device(Device),
    Queue(Queue),
    Request(Request),
    RegistryKey(RegistryKey),
    SpinLock(SpinLock),
    Timer(Timer),
    File(File),
    Memory(Memory),
    WorkItem(WorkItem),
}

/// One object.
pub(super) struct Object {
    pub kind: Kind,
    /// The object that it is deleted with.
    pub parent: Option<usize>,
    pub attributes: Attributes,
    pub ledger: ObjectId,
    /// Context spaces of its own, the first from its attributes.
    pub contexts: Vec<Context>,
    /// References that the driver took and has not given back.
    pub references: u32,
    /// Set once it was deleted: only references keep it.
    pub deleted: bool,
}

/// What `WDF_OBJECT_ATTRIBUTES` asked for.
#[derive(Clone, Copy, Default)]
pub(super) struct Attributes {
    pub cleanup: usize,
    pub destroy: usize,
    /// The parent named; 0 if none was.
    pub parent: usize,
    pub execution_level: i32,
    pub synchronization_scope: i32,
    /// The type of its context (WDF_OBJECT_CONTEXT_TYPE_INFO); 0 for no context.
    pub context_type: usize,
    /// Bytes of context, where not the type's own number.
    pub context_size: usize,
}

/// A type of objects that functions take.
pub(super) trait Sort: Sized {
    /// Its handle's type.
    const NAME: &'static str;
    /// The object, if it is of this type.
    fn of(kind: &mut Kind) -> Option<&mut Self>;
}

macro_rules! sorts {
    ($($sort:ident $name:literal,)*) => {
        $(impl Sort for $sort {
            const NAME: &'static str = $name;
            fn of(kind: &mut Kind) -> Option<&mut Self> {
                match kind {
                    Kind::$sort(sort) => Some(sort),
                    _ => None,
                }
            }
        })*

        impl Kind {
            fn name(&self) -> &'static str {
                match self {
                    $(Self::$sort(_) => $name,)*
                }
            }
        }
    };
}
sorts! {
    Driver "WDFDRIVER",
    Device "WDFDEVICE",
    Queue "WDFQUEUE",
    Request "WDFREQUEST",
    RegistryKey "WDFKEY",
    SpinLock "WDFSPINLOCK",
    Timer "WDFTIMER",
    File "WDFFILEOBJECT",
    Memory "WDFMEMORY",
    WorkItem "WDFWORKITEM",
}

/// Reads the attributes that a creating function was given, as KMDF checks them.
pub(super) fn attributes(attributes: PWDF_OBJECT_ATTRIBUTES) -> Result<Attributes, NtStatus> {
    if attributes.is_null() {
        return Ok(Attributes {
            execution_level: level::WdfExecutionLevelInheritFromParent,
            synchronization_scope: scope::WdfSynchronizationScopeInheritFromParent,
            ..Attributes::default()
        });
    }
    // SAFETY: the driver's pointer; a bad one faults and is reported.
    let given = unsafe { attributes.read() };
    if given.Size as usize != size_of::<WDF_OBJECT_ATTRIBUTES>() {
        return Err(STATUS_INFO_LENGTH_MISMATCH);
    }
    if !(level::WdfExecutionLevelInheritFromParent..=level::WdfExecutionLevelDispatch)
        .contains(&given.ExecutionLevel)
    {
        return Err(super::STATUS_WDF_EXECUTION_LEVEL_INVALID);
    }
    if !(scope::WdfSynchronizationScopeInheritFromParent..=scope::WdfSynchronizationScopeNone)
        .contains(&given.SynchronizationScope)
    {
        return Err(super::STATUS_WDF_SYNCHRONIZATION_SCOPE_INVALID);
    }
    Ok(Attributes {
        cleanup: given
            .EvtCleanupCallback
            .map_or(0, |function| function as usize),
        destroy: given
            .EvtDestroyCallback
            .map_or(0, |function| function as usize),
        parent: given.ParentObject as usize,
        execution_level: given.ExecutionLevel,
        synchronization_scope: given.SynchronizationScope,
        context_type: given.ContextTypeInfo as usize,
        context_size: given.ContextSizeOverride,
    })
}

/// Makes an object and gives its handle.
pub(super) fn insert(
    kernel: &Kernel,
    kind: Kind,
    parent: Option<usize>,
    attributes: Attributes,
) -> usize {
    let ledger = kernel.ledger.begin(kind.name());
    let handle = kernel
        .arena
        .allocate(16, Purpose::Object, ledger, true)
        .as_ptr() as usize;
    kernel.note(ledger, format!("created as {handle:#x}"));
    kernel.wdf.objects.borrow_mut().insert(
        handle,
        Object {
            kind,
            parent,
            attributes,
            ledger,
            contexts: Vec::new(),
            references: 0,
            deleted: false,
        },
    );
    if attributes.context_type != 0 {
        context::add(kernel, handle, &attributes, false);
    }
    handle
}

/// Looks at the object behind a handle, which must be of the right type and alive.
pub(super) fn with<T: Sort, R>(
    kernel: &Kernel,
    function: &str,
    handle: usize,
    look: impl FnOnce(&mut T) -> R,
) -> R {
    let (result, other) = {
        let mut objects = kernel.wdf.objects.borrow_mut();
        match objects.get_mut(&handle) {
            Some(object) if object.deleted => (None, None),
            Some(object) => match T::of(&mut object.kind) {
                Some(sort) => (Some(look(sort)), None),
                None => (None, Some((object.kind.name(), object.ledger))),
            },
            None => (None, None),
        }
    };
    if let Some(result) = result {
        return result;
    }
    invalid_handle(kernel, function, handle, T::NAME, other)
}

/// Looks at an object that the simulator itself knows the handle of, if it is still there.
pub(super) fn find<T: Sort, R>(
    kernel: &Kernel,
    handle: usize,
    look: impl FnOnce(&mut T) -> R,
) -> Option<R> {
    kernel
        .wdf
        .objects
        .borrow_mut()
        .get_mut(&handle)
        .and_then(|object| T::of(&mut object.kind))
        .map(look)
}

/// Stops the machine: the handle is of no object, or of one of another type.
pub(super) fn invalid_handle(
    kernel: &Kernel,
    function: &str,
    handle: usize,
    wanted: &str,
    other: Option<(&'static str, ObjectId)>,
) -> ! {
    let dead = kernel.arena.find_exact(handle).map(|block| block.object);
    let (summary, object) = match (other, dead) {
        (Some((name, ledger)), _) => (
            format!("{function} was given {handle:#x}, which is a {name} and not a {wanted}"),
            Some(ledger),
        ),
        (None, Some(ledger)) => (
            format!(
                "{function} was given {wanted} {handle:#x}, which was deleted or completed before"
            ),
            Some(ledger),
        ),
        (None, None) => (
            format!("{function} was given {handle:#x}, which is no handle of the framework"),
            None,
        ),
    };
    let rule = if wanted == "WDFREQUEST" {
        "D-06"
    } else {
        "D.1"
    };
    let violation = super::violation(
        kernel,
        super::WDF_INVALID_HANDLE,
        handle as u64,
        rule,
        summary,
    );
    kernel.bug_check(match object {
        Some(object) => violation.about(kernel, object),
        None => violation,
    })
}

/// The parent that an object gets: the one named, which must exist, or the usual one.
pub(super) fn parent(
    kernel: &Kernel,
    function: &str,
    attributes: &Attributes,
    usual: usize,
) -> usize {
    if attributes.parent == 0 {
        return usual;
    }
    if !kernel.wdf.objects.borrow().contains_key(&attributes.parent) {
        invalid_handle(kernel, function, attributes.parent, "WDFOBJECT", None);
    }
    attributes.parent
}

/// The attribute of the nearest ancestor, the object itself included, that says something other than to inherit.
pub(super) fn inherited(
    kernel: &Kernel,
    handle: usize,
    what: impl Fn(&Attributes) -> i32,
    inherit: i32,
    otherwise: i32,
) -> i32 {
    let objects = kernel.wdf.objects.borrow();
    let mut next = Some(handle);
    while let Some(object) = next.and_then(|handle| objects.get(&handle)) {
        if what(&object.attributes) != inherit {
            return what(&object.attributes);
        }
        next = object.parent;
    }
    otherwise
}

/// The parent of an object, null if it has none.
pub(super) fn parent_of(kernel: &Kernel, handle: usize) -> WDFOBJECT {
    let objects = kernel.wdf.objects.borrow();
    objects
        .get(&handle)
        .and_then(|object| object.parent)
        .unwrap_or(0) as WDFOBJECT
}

/// The ledger entry of an object.
pub(super) fn ledger(kernel: &Kernel, handle: usize) -> Option<ObjectId> {
    kernel
        .wdf
        .objects
        .borrow()
        .get(&handle)
        .map(|object| object.ledger)
}

pub(super) fn delete_by_driver(kernel: &Kernel, object: WDFOBJECT) {
    let handle = object as usize;
    let known = kernel.wdf.objects.borrow().get(&handle).map(|object| {
        let deletable = match &object.kind {
            Kind::Driver(_) | Kind::Request(_) | Kind::File(_) => false,
            Kind::Queue(queue) => !queue.default,
            Kind::Device(_)
            | Kind::RegistryKey(_)
            | Kind::SpinLock(_)
            | Kind::Timer(_)
            | Kind::Memory(_)
            | Kind::WorkItem(_) => true,
        };
        (object.kind.name(), deletable, object.ledger)
    });
    match known {
        None => invalid_handle(kernel, "WdfObjectDelete", handle, "WDFOBJECT", None),
        Some((name, false, ledger)) => {
            let summary = format!(
                "WdfObjectDelete was given {name} {handle:#x}, which is the framework's own to delete"
            );
            kernel.bug_check(
                super::violation(
                    kernel,
                    super::WDF_OBJECT_ERROR,
                    handle as u64,
                    "D.1",
                    summary,
                )
                .about(kernel, ledger),
            );
        }
        Some(("WDFDEVICE", true, ledger)) if kernel.irql() > irql::PASSIVE => {
            let summary = format!(
                "WdfObjectDelete was called for a control device at IRQL {}",
                kernel.irql()
            );
            let violation = crate::verifier::Violation::contract(
                kernel,
                "D-04",
                [handle as u64, 0, 0, 0],
                summary,
            );
            kernel.bug_check(violation.about(kernel, ledger));
        }
        Some((name, true, _)) => {
            if name == "WDFDEVICE"
                && let Some(object) = super::device::object_of(kernel, handle)
            {
                crate::fwp::require_device_unused(kernel, object);
            }
            delete(kernel, handle);
        }
    }
}

/// Deletes an object after its children. It stays, for its references alone, while the driver has any.
pub(super) fn delete(kernel: &Kernel, handle: usize) {
    delete_as(kernel, handle, "deleted");
}

/// [`delete`], with what its history says of it.
pub(super) fn delete_as(kernel: &Kernel, handle: usize, note: &'static str) {
    for child in children(kernel, handle) {
        delete(kernel, child);
    }
    let Some(references) = clean_up(kernel, handle) else {
        return;
    };
    if references == 0 {
        context::destroy(kernel, handle);
        remove(kernel, handle, note);
    }
}

/// Whether there is an object of some kind. One that only references keep is gone as far as the framework is concerned; one whose last
/// callback still runs is not.
pub(super) fn exists(kernel: &Kernel, test: impl Fn(&Kind) -> bool) -> bool {
    let objects = kernel.wdf.objects.borrow();
    objects
        .values()
        .any(|object| !(object.deleted && object.references > 0) && test(&object.kind))
}

/// The children of an object.
fn children(kernel: &Kernel, handle: usize) -> Vec<usize> {
    let objects = kernel.wdf.objects.borrow();
    // The youngest first: what was made later may use what was made before.
    let mut children: Vec<_> = objects
        .iter()
        .filter(|(_, object)| object.parent == Some(handle) && !object.deleted)
        .map(|(handle, object)| (object.ledger, *handle))
        .collect();
    children.sort_unstable_by(|one, other| other.cmp(one));
    children.into_iter().map(|(_, handle)| handle).collect()
}

/// Runs an object's cleanup callbacks and what its kind needs, and marks it deleted. Gives the references that are left; `None` if
/// it is gone, or was deleted before.
fn clean_up(kernel: &Kernel, handle: usize) -> Option<u32> {
    // What still runs has to end before the cleanup callback (EVT_WDF_OBJECT_CONTEXT_CLEANUP).
    super::work_item::drain(kernel, handle);
    let known = kernel
        .wdf
        .objects
        .borrow()
        .get(&handle)
        .map(|object| !object.deleted);
    if known != Some(true) {
        return None;
    }
    context::clean_up(kernel, handle);
    if find::<Timer, _>(kernel, handle, |_| ()).is_some() {
        super::timer::cancel(kernel, handle, true);
    }
    if find::<Queue, _>(kernel, handle, |_| ()).is_some() {
        super::queue::drain(kernel, handle);
    }
    if find::<Device, _>(kernel, handle, |_| ()).is_some() {
        super::device::tear_down(kernel, handle);
    }
    kernel
        .wdf
        .objects
        .borrow_mut()
        .get_mut(&handle)
        .map(|object| {
            object.deleted = true;
            object.references
        })
}

/// Takes an object out of the table and frees its handle.
pub(super) fn remove(kernel: &Kernel, handle: usize, note: &'static str) -> Option<Object> {
    let object = kernel.wdf.objects.borrow_mut().remove(&handle);
    if let Some(object) = &object {
        context::free(kernel, object);
        crate::nt::free_blocks(kernel, &[handle], note);
    }
    object
}

/// Calls a callback that takes the object, if there is one.
pub(super) fn call_back(kernel: &Kernel, name: &str, function: usize, handle: usize) {
    if function != 0 {
        let irql = kernel.irql();
        call_driver!(kernel, function, fn(WDFOBJECT), handle as WDFOBJECT);
        super::after_callback(kernel, name, irql);
    }
}
