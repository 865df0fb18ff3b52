"""The public samples of Azure Durable Functions for Python, with only their decorators changed."""

# ruff: noqa: PERF401, SIM113  (as the samples were written)

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import ipydurable as df
from ipydurable import activity, orchestrator
from tests.conformance.durations import LONG
from tests.conformance.scenario import VIRTUAL, World, scenario


@activity(name="Hello")
def hello(city: str) -> str:
    return "Hello " + city


# function_chaining


@orchestrator
def function_chaining(context: df.DurableOrchestrationContext):
    result1 = yield context.call_activity("Hello", "Tokyo")
    result2 = yield context.call_activity("Hello", "Seattle")
    result3 = yield context.call_activity("Hello", "London")
    return [result1, result2, result3]


@scenario(gives=["Hello Tokyo", "Hello Seattle", "Hello London"])
def sample_function_chaining(world: World) -> Any:
    """Function chaining: activities one after the other."""
    return world.run(function_chaining)


# function_chaining_custom_status


@orchestrator
def function_chaining_custom_status(context):
    output1 = yield context.call_activity("Hello", "Tokyo")
    context.set_custom_status("Tokyo")
    output2 = yield context.call_activity("Hello", "Seattle")
    context.set_custom_status("Seattle")
    output3 = yield context.call_activity("Hello", "London")
    context.set_custom_status("London")
    return [output1, output2, output3]


@scenario(gives=[["Hello Tokyo", "Hello Seattle", "Hello London"], "London"])
def sample_chaining_with_custom_status(world: World) -> Any:
    """Function chaining that tells how far it is."""
    run = world.start(function_chaining_custom_status)
    return [run.result(), run.custom_status]


# fan_in_fan_out


@activity(name="GetFileList")
def get_file_list(folder: str) -> list[str]:
    return sorted(str(path) for path in Path(folder).iterdir())


@activity(name="CountBytes")
def count_bytes(path: str) -> int:
    return Path(path).stat().st_size


@orchestrator
def fan_out_fan_in(context):
    root_directory: str = context.get_input()
    files = yield context.call_activity("GetFileList", root_directory)
    tasks = []
    for file in files:
        tasks.append(context.call_activity("CountBytes", file))
    results = yield context.task_all(tasks)
    total_bytes = sum(results)
    return total_bytes


@scenario(gives=60, order_varies=True)
def sample_fan_out_fan_in(world: World) -> Any:
    """Fan-out/fan-in: as many activities as there are files, and the sum of their results."""
    for n in range(1, 4):
        world.write(f"{n}.txt", "x" * 10 * n)
    return world.run(fan_out_fan_in, str(Path(world.file("1.txt")).parent))


# monitor


@activity(name="GetJobStatus")
def get_job_status(job: str) -> str:
    with Path(job).open("a") as file:
        file.write("asked\n")
    return "Completed" if len(Path(job).read_text().splitlines()) >= 3 else "Running"


@activity(name="SendAlert")
def send_alert(message: str) -> str:
    return f"Alert: {message}"


@orchestrator
def monitor(context):
    job = json.loads(context.get_input())
    job_id = job["jobId"]
    polling_interval = timedelta(milliseconds=job["pollingInterval"])
    expiry_time = context.current_utc_datetime + timedelta(milliseconds=job["expiry"])

    while context.current_utc_datetime < expiry_time:
        job_status = yield context.call_activity("GetJobStatus", job_id)
        if job_status == "Completed":
            alert = yield context.call_activity("SendAlert", "done")
            return alert
        next_check = context.current_utc_datetime + polling_interval
        yield context.create_timer(next_check)
    return "expired"


@scenario(gives=["Alert: done", "expired"])
def sample_monitor(world: World) -> Any:
    """Monitor: poll with a timer until the job is done or the time is over."""
    job = {"jobId": world.file("job"), "pollingInterval": 40, "expiry": 3_600_000}
    late = {**job, "jobId": world.file("late"), "expiry": 0}
    return [world.run(monitor, json.dumps(job)), world.run(monitor, json.dumps(late))]


# human_interaction


@activity(name="SendSMSChallenge")
def send_sms_challenge(phone_number: str) -> int:
    return 4711


@orchestrator
def phone_verification(context: df.DurableOrchestrationContext):
    phone_number = context.get_input()
    challenge_code = yield context.call_activity("SendSMSChallenge", phone_number)

    expiration = context.current_utc_datetime + timedelta(days=30)
    timeout_task = context.create_timer(expiration)

    authorized = False
    for _ in range(3):
        challenge_response_task = context.wait_for_external_event("SmsChallengeResponse")
        winner = yield context.task_any([challenge_response_task, timeout_task])

        if winner == challenge_response_task:
            if int(challenge_response_task.result) == challenge_code:
                authorized = True
                break
        else:
            break

    if not timeout_task.is_completed:
        timeout_task.cancel()
    return authorized


@scenario(gives=[True, False])
def sample_human_interaction(world: World) -> Any:
    """Human interaction: three tries to answer a challenge before the time is over."""
    outcomes = []
    for answers in (["1", "4711"], ["1", "2", "3"]):
        run = world.start(phone_verification, "+41 61 555 55 55")
        world.until_waiting(run, "timer")
        for answer in answers:
            run.raise_event("SmsChallengeResponse", answer)
        outcomes.append(run.result())
    return outcomes


@scenario(gives=False, ways=VIRTUAL)
def sample_human_interaction_times_out(world: World) -> Any:
    """Human interaction: without an answer the timer wins."""
    run = world.start(phone_verification, "+41 61 555 55 55")
    world.until_waiting(run, "timer")
    world.advance(LONG)
    return run.result()


@orchestrator
def approval_workflow(context):
    due_time = context.current_utc_datetime + timedelta(days=30)
    durable_timeout_task = context.create_timer(due_time)
    approval_event_task = context.wait_for_external_event("Approval")

    winning_task = yield context.task_any([approval_event_task, durable_timeout_task])

    if approval_event_task == winning_task:
        durable_timeout_task.cancel()
        result = yield context.call_activity("ProcessApproval", approval_event_task.result)
        return result
    result = yield context.call_activity("EscalateApproval")
    return result


@activity(name="ProcessApproval")
def process_approval(approval: dict[str, bool]) -> str:
    return "approved" if approval["ok"] else "declined"


@activity(name="EscalateApproval")
def escalate_approval() -> str:
    return "escalated"


@scenario(gives=["approved", "declined"])
def sample_approval(world: World) -> Any:
    """Approval: an external event and a timeout race each other."""
    outcomes = []
    for is_ok in (True, False):
        run = world.start(approval_workflow)
        run.raise_event("Approval", {"ok": is_ok})
        outcomes.append(run.result())
    return outcomes


# simple_sub_orchestration


@orchestrator
def provision_device(context):
    device_id = context.get_input()
    url = yield context.call_activity("Hello", f"http://device/{device_id}")
    return url


@orchestrator
def provision_new_devices(context):
    device_ids = ["a", "b", "c"]
    provisioning_tasks = []
    id_ = 0
    for device_id in device_ids:
        child_id = f"{context.instance_id}.{id_}"
        provision_task = context.call_sub_orchestrator("provision_device", device_id, child_id)
        provisioning_tasks.append(provision_task)
        id_ += 1
    return (yield context.task_all(provisioning_tasks))


@scenario(gives=[f"Hello http://device/{one}" for one in "abc"], order_varies=True)
def sample_sub_orchestrations(world: World) -> Any:
    """Sub-orchestrations: one for each device, under ids of their own, side by side."""
    return world.run(provision_new_devices)


# retries


@activity(name="Unreliable")
def unreliable(path: str) -> str:
    with Path(path).open("a") as file:
        file.write("tried\n")
    if len(Path(path).read_text().splitlines()) < 3:
        raise ConnectionError("not yet")
    return "at last"


@orchestrator
def retried_child(context):
    path = context.get_input()
    result = yield context.call_activity("Unreliable", path)
    return result


@orchestrator
def with_retry(context):
    first_retry_interval_in_milliseconds = 40
    max_number_of_attempts = 3
    retry_options = df.RetryOptions(first_retry_interval_in_milliseconds, max_number_of_attempts)
    activity_path, child_path = context.get_input()
    result1 = yield context.call_activity_with_retry("Unreliable", retry_options, activity_path)
    result2 = yield context.call_sub_orchestrator_with_retry(
        "retried_child", retry_options, child_path
    )
    return [result1, result2]


@scenario(gives=["at last", "at last"])
def sample_retries(world: World) -> Any:
    """Retries of activities and sub-orchestrations with `RetryOptions`."""
    return world.run(with_retry, [world.file("activity"), world.file("child")])


# serialize_arguments


class SerializableClass:
    """The sample's class, with the methods it asks for; they are not needed here."""

    def __init__(self, number: int) -> None:
        self.number = number

    def show_number(self) -> str:
        return f"my number is {self.number}"

    @staticmethod
    def to_json(obj: SerializableClass) -> str:
        return str(obj.number)

    @staticmethod
    def from_json(json_str: str) -> SerializableClass:
        return SerializableClass(int(json_str))


@activity(name="DoubleNumber")
def double_number(value: SerializableClass) -> SerializableClass:
    return SerializableClass(2 * value.number)


@orchestrator
def serialize_arguments(context):
    input_: SerializableClass = context.get_input()
    result = yield context.call_activity("DoubleNumber", SerializableClass(24))
    return [input_.show_number(), result.show_number()]


@scenario(gives=["my number is 11", "my number is 48"])
def sample_serialize_arguments(world: World) -> Any:
    """Inputs, arguments and results that are objects of the user's own class."""
    return world.run(serialize_arguments, SerializableClass(11))


# eternal orchestrations


@orchestrator
def periodic_cleanup(context):
    count = context.get_input() or 0
    yield context.call_activity("Hello", "cleanup")
    if count == 3:
        return count
    next_cleanup = context.current_utc_datetime + timedelta(milliseconds=40)
    yield context.create_timer(next_cleanup)
    context.continue_as_new(count + 1)


@scenario(gives=3)
def sample_periodic_cleanup(world: World) -> Any:
    """Eternal orchestration: work, sleep, continue as new."""
    return world.run(periodic_cleanup)


@orchestrator
def error_handling(context):
    try:
        yield context.call_activity("Unreliable", context.get_input())
    except Exception:
        compensation = yield context.call_activity("Hello", "refund")
        return compensation


@scenario(gives="Hello refund")
def sample_error_handling(world: World) -> Any:
    """Error handling: a failed activity is compensated by another."""
    return world.run(error_handling, world.file("account"))


@orchestrator
def counter_until_cancel(context):
    count = context.get_input() or 0
    operation = yield context.wait_for_external_event("operation")
    if operation == "end":
        return count
    context.continue_as_new(count + (1 if operation == "incr" else -1))


@scenario(gives=1)
def sample_stateful_counter(world: World) -> Any:
    """Singleton counter: external events, state carried by continue-as-new."""
    run = world.start(counter_until_cancel, 0)
    for operation in ("incr", "incr", "decr", "end"):
        run.raise_event("operation", operation)
    return run.result()
