//! A world in which one thing does not do its part is noticed: what is checked can fail.

use pillion_sim::{Sabotage, play_with};

/// Worlds that may pass before one must show it.
const PATIENCE: u64 = 60;

/// What is said of the first world that shows the sabotage.
fn noticed(sabotage: Sabotage) -> String {
    let shown = (1..=PATIENCE).find_map(|seed| play_with(seed, sabotage).err());
    shown.unwrap_or_else(|| panic!("{sabotage:?} went unnoticed in {PATIENCE} worlds"))
}

#[track_caller]
fn is_noticed(sabotage: Sabotage, as_one_of: &[&str]) {
    let failure = noticed(sabotage);
    let expected = as_one_of.iter().any(|text| failure.contains(text));
    assert!(
        expected,
        "{sabotage:?} was noticed as something else: {failure}"
    );
}

#[test]
fn a_host_that_is_not_woken_is_noticed() {
    is_noticed(Sabotage::DropHostWake, &["the host sleeps"]);
}

#[test]
fn viewers_that_are_not_woken_are_noticed() {
    is_noticed(
        Sabotage::DropViewerWake,
        &[
            "is still Connecting",
            "is still Stalled",
            "still waits",
            "asked for history",
        ],
    );
}

#[test]
fn an_input_written_twice_is_noticed() {
    is_noticed(Sabotage::RepeatInput, &["is written twice"]);
}

#[test]
fn an_input_without_the_right_is_noticed() {
    is_noticed(Sabotage::WriteWithoutRight, &["without the right to"]);
}

#[test]
fn a_stream_that_is_not_given_up_is_noticed() {
    is_noticed(Sabotage::SkipReset, &["given up"]);
}

#[test]
fn a_use_that_is_not_on_disk_is_noticed() {
    is_noticed(
        Sabotage::ForgetLedger,
        &[
            "uses are written down",
            "is told",
            "is let in",
            "is refused",
        ],
    );
}

#[test]
fn a_frame_that_says_nothing_is_noticed() {
    is_noticed(
        Sabotage::SwapFrame,
        &["shows something else", "is not what its host signed"],
    );
}

#[test]
fn a_frame_that_only_one_viewer_gets_is_noticed() {
    is_noticed(Sabotage::ForkFrame, &["is not what its host signed"]);
}

#[test]
fn lines_from_before_sharing_are_noticed() {
    is_noticed(Sabotage::ShowHidden, &["may not be seen"]);
}

#[test]
fn talking_after_the_end_is_noticed() {
    is_noticed(
        Sabotage::SendAfterClose,
        &["is written to after its end", "and is not in"],
    );
}

#[test]
fn a_slow_viewer_in_everybodys_way_is_noticed() {
    is_noticed(Sabotage::SlowHoldsUp, &["and not"]);
}

#[test]
fn a_screen_shown_to_who_knocks_is_noticed() {
    is_noticed(Sabotage::ShowWhoKnocks, &["waits at the door"]);
}

#[test]
fn who_does_not_manage_and_is_obeyed_is_noticed() {
    is_noticed(Sabotage::ObeyAnybody, &["does not manage"]);
}

#[test]
fn a_right_that_outlives_whoever_gave_it_is_noticed() {
    is_noticed(Sabotage::OutliveManager, &["outlives who made it"]);
}

#[test]
fn a_name_taken_for_a_key_is_noticed() {
    is_noticed(Sabotage::BelieveNames, &["met somebody else"]);
}

#[test]
fn a_job_that_outwaits_the_editor_is_noticed() {
    is_noticed(
        Sabotage::OutwaitEditor,
        &["was not confirmed, and could be somebody else's word"],
    );
}

#[test]
fn a_change_that_is_not_said_is_noticed() {
    is_noticed(Sabotage::HideChange, &["and it is not said"]);
}

#[test]
fn a_question_that_outlives_its_command_is_noticed() {
    is_noticed(
        Sabotage::KeepQuestion,
        &["stays, and the command has ended"],
    );
}

#[test]
fn somebody_who_is_kept_out_and_stays_is_noticed() {
    is_noticed(Sabotage::KeepBanned, &["is kept out, and is in"]);
}

#[test]
fn somebody_who_comes_as_often_as_they_like_is_noticed() {
    is_noticed(Sabotage::LetInAlways, &["is let in too often"]);
}

#[test]
fn an_entry_for_every_visit_is_noticed() {
    is_noticed(Sabotage::LogEachVisit, &["is in the log too often"]);
}

#[test]
fn a_token_that_outlives_a_kick_is_noticed() {
    is_noticed(
        Sabotage::KeepToken,
        &[
            "which was taken away",
            "is told",
            "without the right to",
            "is let in by",
        ],
    );
}

#[test]
fn an_input_in_another_terminal_is_noticed() {
    is_noticed(Sabotage::WriteElsewhere, &["goes to track"]);
}

#[test]
fn an_input_for_a_program_that_ended_is_noticed() {
    is_noticed(
        Sabotage::WriteToEnded,
        &["goes to track", "is no live terminal"],
    );
}

#[test]
fn a_number_that_is_used_again_is_noticed() {
    is_noticed(Sabotage::ReuseNumber, &["is used again"]);
}

#[test]
fn a_frame_for_somebody_who_does_not_look_is_noticed() {
    is_noticed(Sabotage::ShowUnasked, &["does not look at it"]);
}

#[test]
fn an_entry_of_a_log_that_is_lost_is_noticed() {
    is_noticed(Sabotage::LoseEntry, &["something else of a log"]);
}

#[test]
fn a_terminal_opened_without_the_right_is_noticed() {
    is_noticed(
        Sabotage::OpenWithoutRight,
        &["opens a terminal without the right to"],
    );
}

#[test]
fn a_viewer_that_ends_by_itself_is_noticed() {
    is_noticed(Sabotage::ForgetOpening, &["ends and nobody said so"]);
}

#[test]
fn a_choice_that_does_not_arrive_is_noticed() {
    is_noticed(Sabotage::ForgetChoice, &["was chosen, and it was"]);
}

#[test]
fn lines_of_another_terminal_are_noticed() {
    is_noticed(
        Sabotage::ReadElsewhere,
        &["reads history", "reads from line"],
    );
}

#[test]
fn a_frame_that_the_log_lost_is_noticed() {
    is_noticed(Sabotage::LoseLogged, &["is not what its host signed"]);
}

#[test]
fn lines_that_the_log_lost_are_noticed() {
    is_noticed(
        Sabotage::LoseLines,
        &["is not what its host signed: Some(Lines)"],
    );
}

#[test]
fn an_input_that_is_lost_is_noticed() {
    is_noticed(Sabotage::LoseInput, &["was typed, and it was not"]);
}

#[test]
fn a_terminal_opened_twice_is_noticed() {
    is_noticed(Sabotage::OpenTwice, &["terminals and got"]);
}

#[test]
fn a_terminal_closed_by_who_did_not_open_it_is_noticed() {
    is_noticed(Sabotage::CloseOthers, &["did not open it"]);
}

#[test]
fn a_name_that_looks_like_something_else_is_noticed() {
    is_noticed(Sabotage::ShowAnyName, &["somebody is shown as"]);
}

#[test]
fn a_question_without_a_terminal_is_noticed() {
    is_noticed(Sabotage::AskNobody, &["where there is no terminal"]);
}

#[test]
fn a_second_answer_to_a_program_is_noticed() {
    is_noticed(Sabotage::AnswerTwice, &["queries got"]);
}

#[test]
fn a_right_told_to_who_is_put_out_is_noticed() {
    is_noticed(Sabotage::TellBanned, &["is told"]);
}

#[test]
fn a_prompt_of_somebody_who_may_not_is_noticed() {
    is_noticed(
        Sabotage::PromptWithoutRight,
        &["is done for who may no more"],
    );
}

#[test]
fn an_answer_of_somebody_who_may_not_is_noticed() {
    is_noticed(
        Sabotage::AnswerWithoutRight,
        &["is done for who may no more"],
    );
}

#[test]
fn a_question_that_is_answered_twice_is_noticed() {
    is_noticed(Sabotage::AnswerQuestionTwice, &["is answered twice"]);
}

#[test]
fn a_prompt_that_does_not_wait_its_turn_is_noticed() {
    is_noticed(Sabotage::SendOutOfTurn, &["is sent out of its turn"]);
}

#[test]
fn a_claim_that_stays_is_noticed() {
    is_noticed(Sabotage::KeepClaim, &["is still claimed"]);
}

#[test]
fn what_is_lost_of_a_conversation_is_noticed() {
    is_noticed(Sabotage::LoseSaid, &["something else of a conversation"]);
}
