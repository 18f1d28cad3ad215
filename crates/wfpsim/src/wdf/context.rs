//! Context spaces of objects, and the references that keep an object after its deletion.

use std::ffi::c_void;

use wdk_sys_portable::_WDF_EXECUTION_LEVEL as level;
use wdk_sys_portable::PCWDF_OBJECT_CONTEXT_TYPE_INFO;
use wdk_sys_portable::PWDF_OBJECT_ATTRIBUTES;
use wdk_sys_portable::WDFOBJECT;

use super::object;
use super::object::Attributes;
use super::object::Object;
use crate::machine::Kernel;
use crate::machine::irql;
use crate::memory::Purpose;
use crate::nt::NtStatus;
use crate::nt::status;
use crate::verifier::Violation;

/// STATUS_OBJECT_NAME_EXISTS: a success, though nothing was made.
const OBJECT_NAME_EXISTS: NtStatus = 0x4000_0000;
/// STATUS_OBJECT_NAME_INVALID: the attributes name no type.
const OBJECT_NAME_INVALID: NtStatus = 0xC000_0033u32 as NtStatus;

/// A context space.
#[derive(Clone, Copy)]
pub(super) struct Context {
    /// The address that stands for its type.
    kind: usize,
    space: usize,
    /// Callbacks of its own, if it was added after the object was made.
    cleanup: usize,
    destroy: usize,
}

/// The address that stands for a type.
fn unique(kind: usize) -> usize {
    let kind = kind as PCWDF_OBJECT_CONTEXT_TYPE_INFO;
    // SAFETY: the driver's pointer; a bad one faults and is reported.
    let own = unsafe { (*kind).UniqueType };
    if own.is_null() {
        kind as usize
    } else {
        own as usize
    }
}

/// Gives an object the context that attributes ask for, zeroed. `later`: the callbacks are the context's, not the object's.
pub(super) fn add(kernel: &Kernel, handle: usize, attributes: &Attributes, later: bool) -> usize {
    let kind = unique(attributes.context_type);
    // SAFETY: as in `unique`.
    let own = unsafe { (*(kind as PCWDF_OBJECT_CONTEXT_TYPE_INFO)).ContextSize };
    let size = own.max(attributes.context_size).max(1);
    let ledger = kernel
        .ledger
        .begin(format!("context of framework object {handle:#x}"));
    let space = kernel
        .arena
        .allocate(size, Purpose::Object, ledger, true)
        .as_ptr() as usize;
    kernel.note(ledger, "allocated");
    let context = Context {
        kind,
        space,
        cleanup: if later { attributes.cleanup } else { 0 },
        destroy: if later { attributes.destroy } else { 0 },
    };
    if let Some(object) = kernel.wdf.objects.borrow_mut().get_mut(&handle) {
        object.contexts.push(context);
    }
    space
}

/// The space of a type, 0 if the object has none.
fn space(kernel: &Kernel, function: &str, handle: usize, kind: usize) -> usize {
    let found = kernel.wdf.objects.borrow().get(&handle).map(|object| {
        object
            .contexts
            .iter()
            .find(|context| context.kind == kind)
            .map_or(0, |context| context.space)
    });
    match found {
        Some(space) => space,
        None => object::invalid_handle(kernel, function, handle, "WDFOBJECT", None),
    }
}

pub(super) fn get(
    kernel: &Kernel,
    object: WDFOBJECT,
    kind: PCWDF_OBJECT_CONTEXT_TYPE_INFO,
) -> *mut c_void {
    super::require_parameter(
        kernel,
        "WdfObjectGetTypedContextWorker",
        "TypeInfo",
        kind.cast(),
    );
    space(
        kernel,
        "WdfObjectGetTypedContextWorker",
        object as usize,
        unique(kind as usize),
    ) as *mut c_void
}

pub(super) fn allocate(
    kernel: &Kernel,
    object: WDFOBJECT,
    attributes: PWDF_OBJECT_ATTRIBUTES,
    context: *mut *mut c_void,
) -> NtStatus {
    const NAME: &str = "WdfObjectAllocateContext";
    super::require_parameter(
        kernel,
        NAME,
        "ContextAttributes",
        attributes as *const c_void,
    );
    let attributes = match object::attributes(attributes) {
        Ok(attributes) => attributes,
        Err(status) => return status,
    };
    if attributes.parent != 0 {
        return super::STATUS_WDF_PARENT_ASSIGNMENT_NOT_ALLOWED;
    }
    if attributes.context_type == 0 {
        return OBJECT_NAME_INVALID;
    }
    let handle = object as usize;
    let known = space(kernel, NAME, handle, unique(attributes.context_type));
    let (space, result) = if known != 0 {
        (known, OBJECT_NAME_EXISTS)
    } else if kernel.fails(NAME) {
        return status::INSUFFICIENT_RESOURCES;
    } else {
        (add(kernel, handle, &attributes, true), status::SUCCESS)
    };
    if !context.is_null() {
        // SAFETY: the driver's pointer; a bad one faults and is reported.
        unsafe { context.write(space as *mut c_void) };
    }
    result
}

/// The callbacks of one kind, the object's own last.
fn callbacks(
    kernel: &Kernel,
    handle: usize,
    of_object: impl Fn(&Attributes) -> usize,
    of_context: impl Fn(&Context) -> usize,
) -> Vec<usize> {
    let objects = kernel.wdf.objects.borrow();
    objects.get(&handle).map_or_else(Vec::new, |object| {
        object
            .contexts
            .iter()
            .rev()
            .map(of_context)
            .chain([of_object(&object.attributes)])
            .collect()
    })
}

pub(super) fn clean_up(kernel: &Kernel, handle: usize) {
    for function in callbacks(
        kernel,
        handle,
        |object| object.cleanup,
        |context| context.cleanup,
    ) {
        object::call_back(kernel, "EvtCleanupCallback", function, handle);
    }
}

pub(super) fn destroy(kernel: &Kernel, handle: usize) {
    for function in callbacks(
        kernel,
        handle,
        |object| object.destroy,
        |context| context.destroy,
    ) {
        object::call_back(kernel, "EvtDestroyCallback", function, handle);
    }
}

/// Frees the spaces of an object that is gone.
pub(super) fn free(kernel: &Kernel, object: &Object) {
    for context in &object.contexts {
        crate::nt::free_blocks(kernel, &[context.space], "freed with its object");
    }
}

pub(super) fn reference(
    kernel: &Kernel,
    object: WDFOBJECT,
    _tag: *mut c_void,
    _line: i32,
    _file: *const i8,
) {
    let handle = object as usize;
    let known = kernel
        .wdf
        .objects
        .borrow_mut()
        .get_mut(&handle)
        .map(|object| object.references += 1);
    if known.is_none() {
        object::invalid_handle(kernel, "WdfObjectReference", handle, "WDFOBJECT", None);
    }
}

pub(super) fn dereference(
    kernel: &Kernel,
    object: WDFOBJECT,
    _tag: *mut c_void,
    _line: i32,
    _file: *const i8,
) {
    const NAME: &str = "WdfObjectDereference";
    let handle = object as usize;
    let known = kernel
        .wdf
        .objects
        .borrow_mut()
        .get_mut(&handle)
        .map(|object| {
            let left = object.references.checked_sub(1);
            object.references = left.unwrap_or(0);
            let passive = object.attributes.execution_level == level::WdfExecutionLevelPassive;
            (left, object.deleted, passive, object.ledger)
        });
    let Some((left, deleted, passive, ledger)) = known else {
        object::invalid_handle(kernel, NAME, handle, "WDFOBJECT", None);
    };
    let Some(left) = left else {
        let summary = format!("{NAME} was called more often than WdfObjectReference");
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
    };
    if left > 0 || !deleted {
        return;
    }
    if passive && kernel.irql() > irql::PASSIVE {
        // Whose attributes ask for PASSIVE_LEVEL is destroyed there (FxObject::FinalRelease and the driver's dispose list).
        let disposals = &kernel.wdf.disposals;
        disposals.set(disposals.get() + 1);
        kernel.spawn("framework: disposal", irql::PASSIVE, move |kernel| {
            end(kernel, handle);
            let disposals = &kernel.wdf.disposals;
            disposals.set(disposals.get() - 1);
        });
    } else {
        end(kernel, handle);
    }
}

/// The end of an object that was deleted and lost its last reference.
fn end(kernel: &Kernel, handle: usize) {
    destroy(kernel, handle);
    object::remove(kernel, handle, "deleted, and its last reference given back");
}

/// Waits until everything that is to be destroyed at PASSIVE_LEVEL has been.
pub(super) fn wait_for_disposals(kernel: &Kernel) {
    kernel.block(
        "framework objects to be destroyed".to_owned(),
        None,
        |kernel| kernel.wdf.disposals.get() == 0,
    );
}

/// Objects that references keep although the driver object is gone, and every other with it: nobody gives these references back. They
/// are no other driver's, so they leave the table.
pub(super) fn report_kept(kernel: &Kernel) {
    let kept: Vec<_> = kernel
        .wdf
        .objects
        .borrow_mut()
        .extract_if(.., |_, object| object.references > 0)
        .map(|(_, object)| (object.ledger, object.references))
        .collect();
    for (ledger, references) in kept {
        let summary = format!(
            "a framework object has {references} references of the driver's left when the driver goes; it stays for ever"
        );
        kernel.record(
            Violation::contract(kernel, "D.1", [u64::from(references), 0, 0, 0], summary)
                .about(kernel, ledger),
        );
    }
}
