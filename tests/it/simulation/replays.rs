//! The scripts of seeds that once failed.
//!
//! Long because they stay.

use super::replay;

#[test]
fn half_a_save_is_not_read_while_a_formatter_is_given_time() {
    replay(
        "seed 138
         0 write b b3
         0 start
         185 blink b empty other 389
         0 slow b b6? b5 212",
    );
}

#[test]
fn a_file_that_git_held_back_and_that_is_written_again_lets_the_daemon_sleep() {
    replay(
        "seed 515
         0 start
         0 git 425
         0 delete c
         0 slow c empty c10 238",
    );
}

#[test]
fn a_plugin_whose_file_was_moved_unseen_is_not_deleted() {
    replay(
        "seed 4264 delete
         0 crash 7 2687
         10000 fault slow get 1
         0 write t t11
         1000 write a a12
         1000 delete a
         0 deaf 728
         0 slow b empty a14 199",
    );
}

#[test]
fn a_rollback_is_not_undone_by_what_waited_for_its_turn() {
    replay(
        "seed 1935 jobs 2
         0 write a a1
         0 hand a a2
         0 start
         0 fault before update 1
         182 wipe
         0 write c c5
         1861 swap c c7
         0 rollback c c9 12",
    );
    replay(
        "seed 7541
         0 hand a a2
         0 start
         0 fault absent get 1
         0 write a a4!
         10 fault slow create 1
         53 swap a a6
         100 rollback a a2 0",
    );
}

#[test]
fn what_a_rescan_found_broken_is_not_deployed_as_it_was() {
    replay(
        "seed 962
         0 write b b1*
         0 start
         198 fault slow get 1
         0 swap t t3
         0 deaf 555
         0 write t broken",
    );
}

#[test]
fn a_stub_that_could_not_be_deleted_at_once_is_deleted_later() {
    replay(
        "seed 34
         0 fault refuse delete 3
         0 write a a15!
         0 crash 0 2021
         10000 git 460",
    );
}

#[test]
fn what_a_dead_daemon_has_sent_is_not_held_as_somebody_else_s() {
    replay(
        "seed 1 hold
         0 write a a1
         200 start
         2000 fault slow update 1
         0 write a a2
         2300 crash 0 4000
         10 write a a3",
    );
}

#[test]
fn a_function_that_could_not_be_switched_on_again_is_switched_on_later() {
    replay(
        "seed 1612 0.9.6
         0 write b b1!
         0 hand b b1
         100 start
         78 fault slow delete 1
         0 fault forbid any 1
         10 start",
    );
}

#[test]
fn a_flip_that_never_arrived_leaves_no_function_off() {
    replay(
        "seed 2110 0.9.6
         0 hand a a1~
         0 crash 0 788
         0 fault before toggle 1
         0 write a -17!
         10000 swap b b19",
    );
}

#[test]
fn a_refused_text_is_not_sent_again_behind_a_recovery() {
    replay(
        "seed 1413 0.9.6
         0 hand c c2
         0 start
         0 write b b4!
         0 blink t broken t6 182
         0 fault forbid toggle 1
         0 write c c10!
         0 write a a11
         0 fault before any 1
         5482 toggle a
         0 mount
         100 mount",
    );
}

#[test]
fn what_was_seen_to_be_lost_during_a_conflict_is_deployed_after_it() {
    replay(
        "seed 2364
         0 write b b2~
         0 start
         228 wipe
         0 swap c b12
         0 crash 0 1510
         10000 slow c broken c14~ 80",
    );
}

#[test]
fn force_does_not_send_what_ends_the_server_over_and_over() {
    replay(
        "seed 22339 0.9.6 force activate
         0 start
         0 write c c7
         0 blink t empty t8# 126
         0 blink b broken c11# 173
         100 swap c b8",
    );
}

#[test]
fn what_was_there_for_a_moment_goes_also_when_no_answer_comes() {
    replay(
        "seed 1205
         0 fault after update 4
         0 write t t13!
         0 crash 0 1503
         8375 write c c15~",
    );
}

#[test]
fn a_refused_text_does_not_run_on_because_the_old_one_could_not_be_loaded() {
    replay(
        "seed 485 0.6.43
         0 write b b7
         0 fault before restore 1
         100 start
         0 slow b empty b16* 350
         1000 key bad",
    );
    replay(
        "seed 485 0.6.43
         0 fault busy restore 1
         0 crash 6 2812
         0 start
         0 write t t14
         30 stop
         0 write t t15!
         6177 key bad",
    );
}

#[test]
fn a_file_that_was_back_for_a_moment_is_deleted_no_sooner_than_others() {
    replay(
        "seed 23036 quiet delete
         0 crash 11 1024
         0 swap a a8
         5800 delete a
         1000 slow a broken a12* 29
         100 delete a
         0 write c c13",
    );
}

#[test]
fn what_may_take_the_server_away_is_sent_alone() {
    replay(
        "seed 58 jobs 3
         0 write b -1
         0 hand c c3~
         0 fault before update 1
         0 swap c c6~
         0 start
         1000 fault locked delete 1",
    );
}

#[test]
fn of_two_ids_that_one_file_had_each_stays_for_its_whole_while() {
    replay(
        "seed 4705 delete
         0 write c c1
         0 start
         6488 swap a a4
         0 delete c
         875 write t t6
         0 slow c empty b9 130
         1000 swap b a12!
         0 delete c",
    );
}

#[test]
fn what_was_listed_and_then_removed_is_looked_for_under_another_id() {
    replay(
        "seed 8814
         0 start
         0 write a a5~
         100 hand a a6
         0 deaf 1065
         0 hand x x8~
         100 swap c t9~
         1000 swap b b10!
         0 drop a",
    );
}

#[test]
fn what_a_look_has_shown_is_no_news_of_what_failed_meanwhile() {
    replay(
        "seed 22950 0.11.4 force jobs 4
         0 write a -1
         0 write b b2
         0 hand b b2
         0 write t t3~
         100 start
         100 fault crash get 3
         0 write t t4
         9439 move a c
         0 page 2360
         100 slow a a8? a7 854
         0 blink a gone a9! 396
         0 write b b10!
         10000 rescan
         0 swap c c11!
         100 rescan
         100 mount
         100 wipe
         0 delete a
         0 fault late get 1
         1000 icon t
         0 slow c empty c14 451
         0 swap t t15
         0 blink a broken a16 195
         1650 deaf 132
         944 hand c c17",
    );
}

#[test]
fn what_waits_for_its_turn_does_so_no_more_when_its_folder_is_not_there() {
    replay(
        "seed 11668
         0 hand c c3
         0 start
         1000 write t t5!
         0 slow c empty -7 388
         0 swap b b9
         14 deaf 1261
         0 write a a10
         7 crash 0 743
         1000 swap t t11~
         188 touch b
         100 toggle b
         0 unmount
         2735 git 751",
    );
}

#[test]
fn the_old_text_is_loaded_again_also_where_somebody_else_keeps_switching() {
    replay(
        "seed 21620 0.6.43 activate
         0 crash 0 2979
         10000 rollback t t3 21
         0 write b b9
         100 swap b b10!
         0 fault raced toggle 3
         0 fault gateway update 2
         1000 blink b empty broken 141",
    );
}

#[test]
fn what_was_seen_on_the_server_is_not_forgotten_with_what_waited() {
    replay(
        "seed 74238 0.11.4 jobs 2
         0 write b b1
         0 write t t1
         0 hand t t1
         100 start
         47 fault refuse any 1
         0 fault before restore 1
         0 deaf 1395
         1849 write a a2
         238 hand a a3
         833 free
         0 swap a a5#
         188 slow a broken a2 489
         748 hand t t6
         0 blink t broken t7 151
         0 hand b b8
         645 write b b9*
         481 swap b a10!
         0 write b b1",
    );
}

#[test]
fn what_another_file_held_is_not_deployed_any_more() {
    replay(
        "seed 55830
         0 write a a1*
         0 start
         1000 slow b broken a4# 491
         1000 write c c5
         0 write b c6!
         0 write b -7
         0 blink c gone c9~ 305",
    );
}

#[test]
fn a_suspect_text_is_sent_alone() {
    replay(
        "seed 179761 jobs 3
         0 write a a1
         0 write t t3!
         100 start
         100 swap b t4
         1000 write a a5!
         1842 unmount
         0 fault after update 1
         0 mount
         100 write a a9
         7 drop a
         5 swap b b9",
    );
}

#[test]
fn one_save_sends_a_refused_text_once_more_at_most() {
    replay(
        "seed 23874
         0 write c c3!
         0 start
         10000 write a a5
         0 git 1268
         0 move c t
         0 unmount",
    );
}

#[test]
fn a_copy_in_the_archive_is_a_copy() {
    replay(
        "seed 223291 0.11.4 quiet force jobs 2
         0 write b b1
         0 hand b b1
         0 write c c2
         0 write t t1
         0 hand t t1
         100 start
         100 crash 4 2182
         565 git 398
         1642 write c -3
         136 crash 8 990
         10 swap a c2
         596 crash 10 427
         46 touch a
         26 fault locked overview 1
         119 slow t t5? t3 481
         1000 fault slow connect 1",
    );
}

#[test]
fn a_function_is_not_switched_off_when_its_file_is_back() {
    replay(
        "seed 245136 deactivate
         0 start
         0 write a a4
         100 fault slow get 4
         0 delete a
         0 toggle a
         892 fault no-list overview 1
         0 swap t t7
         29601 swap a a8#",
    );
}

#[test]
fn what_a_crash_left_behind_is_made_good_also_where_nothing_is_to_be_deployed() {
    replay(
        "seed 136326 0.9.6 once only a
         0 write a a1
         0 write t t2!
         100 start
         100 fault after update 1
         0 fault slow any 1
         0 swap a a13!
         0 fault slow overview 1
         0 start
         5004 key good
         0 delete a
         0 crash 1 679
         1000 swap t t3",
    );
}

#[test]
fn a_new_function_is_switched_on_later_where_that_fails() {
    replay(
        "seed 36167 activate
         0 start
         0 swap c c1
         0 fault raced toggle 3
         0 fault crash toggle 1
         0 swap a a2
         10000 write t t2",
    );
}

#[test]
fn what_is_unclear_when_asked_ahead_is_no_news() {
    replay(
        "seed 95731
         0 write b b2!
         0 start
         1000 write a a6
         100 drop b
         33 fault unclear get 1
         0 blink b broken b8 32",
    );
}

#[test]
fn a_stub_that_was_taken_for_gone_goes_when_it_is_seen() {
    replay(
        "seed 92673
         0 write c c2
         100 start
         642 toggle b
         0 blink b broken b11! 14
         1326 crash 11 1426
         0 swap c c13
         25 fault absent get 1
         10000 fault shut create 1",
    );
}

#[test]
fn a_retry_never_sends_a_text_that_was_dropped_meanwhile() {
    replay(
        "seed 62062 force
         0 write c c2#
         0 hand c c2
         0 start
         0 deaf 466
         0 rollback c c4 46",
    );
}

#[test]
fn a_lost_answer_of_another_plugin_forgets_no_retry() {
    replay(
        "seed 19956
         0 start
         0 write c c3
         1000 fault crash update 3
         0 write c c4
         0 fault after create 1
         1000 write t t2
         100 delete t",
    );
}

#[test]
fn a_flip_that_was_one_too_many_is_not_left_so() {
    replay(
        "seed 14367 activate
         0 write a a1
         0 write b b1
         100 start
         100 start
         0 fault refuse create 3
         0 fault late any 1
         0 wipe
         0 fault raced toggle 2
         6948 deaf 1059
         0 crash 4 2540
         3508 write c c1
         0 hand a a10",
    );
}

#[test]
fn a_text_in_a_root_that_is_not_there_is_not_deployed() {
    replay(
        "seed 20893644
         0 start
         0 deaf 1079
         0 blink b empty b3 20
         10 rescan
         2615 swap c c4
         0 write a -7
         100 move c a
         100 write t t8
         0 swap c c9
         100 unmount
         190 swap b b13",
    );
}

#[test]
fn what_waits_is_deployed_only_while_its_file_holds_it() {
    replay(
        "seed 20202019
         0 start
         0 swap c c3!
         0 write t t4
         100 down 18262
         0 write c c5
         6335 write t b2
         1000 slow a a6? b2 877
         11330 fault locked toggle 1
         0 write b -8
         65 write a a9
         0 blink b gone b10! 94
         0 swap t t11!",
    );
}

#[test]
fn a_switch_flipped_beside_a_lost_answer_is_no_refusal() {
    replay(
        "seed 20427570 0.11.4 once jobs 3
         0 write a empty
         0 write b b1
         0 hand b b2
         0 write t t4
         0 start
         1000 crash 7 1220
         1429 swap t t6!
         0 fault absent get 4
         0 fault after get 4
         0 fault before update 3
         0 crash 0 114
         0 write a a7!
         0 toggle b
         0 fault raced get 4
         10000 fault before connect 3",
    );
}

#[test]
fn what_got_no_answer_twice_is_still_ours() {
    replay(
        "seed 20817350 hold
         0 write a a1
         0 start
         10000 write t t2*
         4686 blink c empty c3 157
         0 rescan
         1000 swap b b3
         0 fault before any 1
         392 fault gateway create 1
         828 fault gateway any 4
         1000 swap t t4
         1395 write b b6",
    );
}

#[test]
fn what_a_recovery_finds_gone_is_not_believed_to_be_there() {
    replay(
        "seed 20075370 0.11.4
         0 write t t5
         0 hand t t6
         100 start
         0 slow t empty t10! 570
         333 rescan
         425 wipe
         0 write t c11~
         0 crash 0 2911
         10000 write t t5",
    );
}

#[test]
fn nothing_is_deleted_while_its_file_is_back_and_broken() {
    replay(
        "seed 20396420 delete
         0 start
         0 write b b2
         1000 write a a7
         0 delete a
         14336 move c c
         10000 swap b b11!
         0 fault slow get 1
         7586 slow a a12? broken 592",
    );
}

#[test]
fn a_plugin_that_was_back_in_another_file_begins_its_while_anew() {
    replay(
        "seed 20447036 delete
         0 write c c3
         100 blink b gone b1 294
         0 start
         1329 move b c
         0 unmount
         1000 slow c empty c15 895",
    );
}

#[test]
fn a_save_that_git_held_back_sends_no_refused_text_again() {
    replay(
        "seed 20607692 quiet
         0 write a a1
         0 crash 2 2272
         0 fault refuse update 1
         8937 write a a6!
         30 git 1427
         0 rescan
         100 slow t t9? t8! 784",
    );
}

#[test]
fn nothing_is_switched_off_while_git_holds_files_back() {
    replay(
        "seed 20686952 activate deactivate
         0 write b b2
         100 start
         0 delete b
         847 write c c1
         8246 delete a
         20011 git 1477
         0 swap c b2",
    );
}

#[test]
fn what_is_blamed_for_an_outage_waits_for_no_further_turn() {
    replay(
        "seed 50433984
         0 write a a1*
         0 hand a a1
         0 crash 0 1915
         0 fault after update 1
         9061 rescan
         0 fault refuse get 1
         0 write b b5!
         1000 write a other",
    );
}

#[test]
fn what_is_blamed_for_an_outage_does_not_leave_once_more() {
    replay(
        "seed 60283309
         0 write a a1*
         0 write b b2*
         100 start
         10 slow b broken b2 899
         95 down 4100
         5953 hand c c4
         0 write t t5#
         1000 fault refuse connect 4
         0 deaf 358
         1000 move a a",
    );
}

#[test]
fn a_half_save_of_another_file_sends_no_text_again_that_was_given_up() {
    replay(
        "seed 60810979 quiet
         0 start
         0 write b c5*
         46093 git 872
         1000 slow c c6? broken 572",
    );
}

#[test]
fn a_formatter_that_saves_after_a_reload_is_still_one() {
    replay(
        "seed 70113851 quiet
         0 write t t2
         100 start
         0 hand t t4
         0 fault before update 2
         0 fault before connect 1
         0 crash 3 2464
         2146 fault before get 1
         1938 mount
         0 move t c
         29 reload",
    );
}

#[test]
fn after_a_scan_no_text_is_sent_before_every_claim_is_read() {
    replay(
        "seed 80935431
         0 write a a1
         0 start
         170 write a b5
         0 write b -8
         10 reload",
    );
}

#[test]
fn a_text_that_a_recovery_finds_is_planned_against() {
    replay(
        "seed 80650225 0.6.43
         0 hand b b3
         0 start
         0 fault after restore 3
         0 slow b empty b6# 199
         1000 swap b b3
         10000 swap t t7
         0 fault slow restore 1
         100 down 11195
         0 hand b b8",
    );
}

#[test]
fn a_refused_text_is_not_sent_again_to_delete_a_stub() {
    replay(
        "seed 80879557 quiet force activate jobs 4
         0 write a -1
         0 write b b3
         0 hand b b4
         0 write c c5*
         0 write t t6!
         0 hand t t3
         100 start
         100 write c c7#
         6298 crash 10 2177
         9131 down 17098
         0 slow t empty t8 101
         0 drop b
         100 swap c c9!
         0 crash 11 2808
         7642 drop c
         0 fault shut create 2
         10000 fault no-list toggle 1
         0 write b b13~
         100 fault forbid delete 1
         0 deaf 538
         0 blink a broken a14 373
         1000 reload
         0 deaf 130
         0 swap t t15~
         1000 deaf 923
         0 hand c c17",
    );
}

#[test]
fn a_version_seen_only_after_a_lost_answer_is_not_pruned() {
    replay(
        "seed 80028306 keep 2 jobs 2
         0 write a a1
         0 start
         0 slow c c2? c1 337
         72 swap t t3
         0 blink t empty t4* 129
         1102 write t t5
         0 write a a6
         0 write a a7
         4557 fault after update 1
         0 write t t6
         0 rollback c c7 85
         0 swap c c7
         5003 fault late update 1
         0 write c c4
         0 slow c broken c3 36",
    );
}

#[test]
fn half_a_save_leaves_no_contested_id_to_the_other_file() {
    replay(
        "seed 90771632
         0 start
         762 slow c empty c6 207
         53 write a a3
         9 swap a c7!
         8052 slow a a9? a8 247
         0 blink c broken c10 35",
    );
}

#[test]
fn a_text_left_to_its_file_is_read_before_it_is_sent() {
    replay(
        "seed 20316
         0 start
         100 deaf 167
         1654 touch t
         179 swap t t7
         100 delete t
         0 slow t broken t1 550
         1000 deaf 284
         0 swap t t7",
    );
}

#[test]
fn a_text_left_to_its_file_is_read_before_it_is_archived() {
    replay(
        "seed 34518
         0 start
         100 write b b4
         1000 swap b b5!
         0 write b b4
         0 deaf 211",
    );
}

#[test]
fn a_refusal_without_a_reason_is_not_remembered() {
    replay(
        "seed 5293
         0 start
         0 off 6823
         0 write a a5
         0 fault gateway get 2
         100 wipe",
    );
    replay(
        "seed 40852
         0 hand b b2
         0 crash 4 2783
         0 swap c c10
         0 fault unclear get 3
         10000 delete c
         1588 write b -13
         0 off 5066
         1000 deaf 871",
    );
}

#[test]
fn an_upgrade_in_the_middle_of_a_repair_leaves_no_function_off() {
    replay(
        "seed 73560 0.9.6 deactivate
         0 write a a1!
         0 hand a a1
         100 start
         138 upgrade 0.12.4 14979",
    );
}

#[test]
fn a_text_that_arrived_after_a_listing_is_ours() {
    replay(
        "seed 100137564 0.9.6 hold
         0 start
         0 blink c gone c2 232
         100 write t t3
         1000 touch t
         0 swap t t7!
         668 write c c2
         0 write t t8
         0 fault slow any 3
         1000 slow t broken t3 645
         2640 swap b b9!
         0 crash 0 2881",
    );
}

#[test]
fn a_refusal_that_a_lost_stub_could_not_explain_is_not_remembered() {
    replay(
        "seed 100126806 jobs 2
         0 write a a1
         0 write c c2
         0 start
         100 write a -4!
         0 blink c empty c4 261
         0 write t a5!
         929 fault after get 1
         0 write b -10
         295 off 2079
         169 reload
         0 fault after create 1
         9175 move c c",
    );
}

#[test]
fn a_plugin_that_another_file_held_for_a_moment_is_not_deleted_early() {
    replay(
        "seed 110219256 delete
         0 crash 0 2593
         409 write t t4
         926 deaf 276
         1436 slow c c7? c6 423
         0 deaf 20
         0 move t c",
    );
}

#[test]
fn a_function_that_a_disabled_server_did_not_list_stays_off() {
    replay(
        "seed 110089668 0.6.43 activate
         0 start
         0 write t t3~
         100 crash 5 2427
         0 hand b b8
         0 upgrade 0.11.4 13995
         0 toggle b
         0 swap b b13
         11745 blink a gone a14 305
         1000 slow b empty b8 619
         0 delete a
         100 write t t15
         75 off 3232
         768 git 1436
         420 crash 0 1891",
    );
    replay(
        "seed 110383292 activate
         0 write b b1
         0 hand b b1
         0 start
         0 toggle b
         0 off 2993
         0 fault before create 1
         1000 slow c empty c4 449",
    );
}

#[test]
fn a_text_that_a_scan_finds_in_flight_is_sent_again_after_a_crash() {
    replay(
        "seed 110924472 0.6.43 jobs 3
         0 write a a1~
         0 start
         1469 swap a empty
         10000 write a a1
         0 swap t t2
         0 swap a a3
         877 slow a a5? a4 58
         0 write c c6
         675 write a a7
         3794 move a t
         0 hand a a9
         0 write b b10
         0 fault crash update 3
         1920 deaf 367",
    );
}

#[test]
fn a_text_that_another_file_is_about_to_lose_is_not_sent_after_a_newer_one() {
    replay(
        "seed 120006975
         0 write a a1
         0 write t t4
         0 hand t t4
         100 start
         53 move t a
         0 write t t6
         1000 slow a a9? c8 714
         0 write t b10",
    );
}

#[test]
fn a_stub_in_place_of_a_rolled_back_text_goes() {
    replay(
        "seed 140059958
         0 start
         0 fault locked delete 1
         100 write a a1
         0 blink a empty a11! 166
         10000 swap b b12
         52 rollback b b5 26
         1000 wipe
         0 write b b14!
         100 write b b12",
    );
}

#[test]
fn what_is_created_before_the_news_of_its_deletion_stays_ours() {
    replay(
        "seed 176629818 hold
         0 write c c2
         0 start
         10000 write c c2
         0 write c broken
         0 discard c 158
         465 swap b broken
         0 write c c7",
    );
}

#[test]
fn a_server_upgraded_during_a_create_is_asked_why_it_refuses() {
    replay(
        "seed 176855247 0.9.6
         0 start
         1 upgrade 0.12.4 627
         100 slow c empty c5 129
         100 write t t5
         1000 off 6489
         0 slow a empty a5 526
         1000 rescan
         1948 drop a",
    );
}

#[test]
fn a_text_that_a_list_has_shown_is_no_suspect() {
    replay(
        "seed 176958026 0.9.6 jobs 3
         0 write a a1
         0 hand a a2
         0 write b b3!
         0 hand b b3
         0 write c c4
         0 write t t5!
         100 start
         0 fault forbid update 1
         195 move c c
         100 hand c c7
         100 fault after any 4
         0 mount
         2281 write a a8
         1532 drop c",
    );
}

#[test]
fn a_text_is_not_blamed_for_what_an_earlier_one_did() {
    replay(
        "seed 177659393 0.11.4 jobs 2
         0 write a a1!
         0 hand b b3
         0 start
         0 down 7627
         9 write c c5
         169 off 7957
         6768 write t t6
         100 write b -6
         284 deaf 300
         10 slow t empty c8% 369
         1000 write b b9
         1978 hand x x10~
         0 write b b6
         1 crash 8 606
         43 crash 2 2896
         0 move t b
         1233 write a a12
         859 fault after toggle 1
         1000 fault late update 1
         0 write a a13*
         737 start
         1193 fault gateway any 1
         100 write c c14*
         9 swap a a15",
    );
}

#[test]
fn a_newer_overview_shows_what_a_pass_must_not_create() {
    replay(
        "seed 177363692 overwrite jobs 4
         0 write a a1
         0 hand a a2
         0 write c c3
         0 hand c c3
         0 start
         0 swap t t5
         0 hand x x6~
         0 fault gateway create 3
         0 write b b7~
         1754 swap a empty
         0 hand c c8
         0 swap t t9!
         0 rescan
         156 delete t
         61 off 1261
         3142 delete a",
    );
}

#[test]
fn a_text_that_is_there_ends_the_suspicion_of_another() {
    replay(
        "seed 179479103 hold jobs 4
         0 write c c1
         0 write t t1
         0 start
         1000 hand b b2
         0 swap b b2
         0 fault after update 2
         0 write t t3
         0 fault forbid create 1
         1000 fault forbid any 1
         0 slow a a5? -4 348
         1000 fault refuse delete 1
         0 deaf 401
         0 off 5751
         0 swap b b6
         755 delete t
         0 blink b broken b2 206
         1000 slow b b7? b6 584",
    );
}

#[test]
fn a_function_is_switched_on_though_the_deploy_that_would_begin_with_it_was_taken_back() {
    replay(
        "seed 180074822 activate
         0 write a a1
         0 start
         3165 touch t
         0 fault refuse toggle 2
         0 write c c5
         0 fault gateway overview 1
         10 swap a a7
         52 fault before get 4
         1490 reload
         1000 drop b
         1630 deaf 222
         0 slow c empty -9 536
         1488 fault after connect 1
         0 write t t11
         1439 slow b b13? b12! 33
         669 slow a empty c15 521",
    );
}

#[test]
fn a_text_that_arrives_during_the_repair_is_noticed_by_a_plan_that_was_taken_back() {
    replay(
        "seed 199732711 0.11.4 activate jobs 2
         0 write b b2~
         0 write c c3
         0 start
         0 swap a a4%
         297 touch a
         0 write a a8
         186 fault raced get 2
         0 write a a9~
         0 swap b -10%
         120 write c c11
         87 slow t empty t12! 360
         80 write c c13
         0 crash 10 340
         603 mount
         0 write c c11",
    );
}

#[test]
fn a_single_pass_that_the_server_interrupts_tries_a_working_text_once() {
    replay(
        "seed 190204116 once try
         0 write c c1~
         0 write t t2
         0 hand t t3
         0 start
         0 fault crash create 2
         0 fault locked create 3
         10000 unmount",
    );
}

#[test]
fn what_is_to_be_kept_by_now_waits_for_no_broken_file() {
    replay(
        "seed 1 delete
         0 write a a1
         0 write b b1
         0 start
         5000 write c broken
         0 delete a
         1000 set on_delete keep
         100000 rescan",
    );
}

#[test]
fn a_tool_that_is_not_deleted_any_more_is_not_said_to_be_off() {
    replay(
        "seed 1 delete
         0 write t t1
         0 write a a1
         0 write b b1
         0 start
         5000 delete t
         1000 set on_delete deactivate
         60000 rescan",
    );
}

#[test]
fn a_function_that_is_global_by_now_is_not_said_to_be_unused() {
    replay(
        "seed 191229648
         0 write c c1
         0 hand c c2
         0 start
         1000 drop b
         0 crash 0 2059
         1158 git 451
         0 write c c10
         844 drop b
         160 toggle b
         0 global c
         0 write c -12",
    );
}

#[test]
fn a_new_function_is_not_switched_on_after_a_crash_if_the_settings_no_longer_ask_for_it() {
    replay(
        "seed 191204716 activate
         0 start
         100 crash 10 97
         0 swap t a1
         1581 set activate off
         0 toggle a",
    );
}

#[test]
fn a_new_function_is_not_switched_on_late_if_the_settings_no_longer_ask_for_it() {
    replay(
        "seed 192038595 activate deactivate
         0 fault after create 1
         0 fault unclear get 2
         0 blink a empty a7 53
         0 crash 0 2925
         10000 git 425
         0 set activate off",
    );
}

#[test]
fn texts_that_end_the_server_do_not_keep_the_others_from_a_single_pass() {
    replay(
        "seed 193389578 once
         0 write c c1#
         0 hand c c1
         0 downgrade 0.9.6 19232
         0 swap t t7
         0 slow b empty b9# 760",
    );
}

#[test]
fn an_older_text_is_not_blamed_after_the_server_has_answered_to_a_newer_one() {
    replay(
        "seed 193721650 0.11.4 jobs 2
         0 hand c c3
         0 start
         0 fault refuse restore 1
         0 rollback c c4 61
         0 blink b broken b9# 200
         164 swap c c10!
         10000 off 1678
         0 blink b broken b12 209
         1000 fault gateway get 1
         0 write c broken",
    );
}

#[test]
fn a_text_that_is_forced_is_judged_anew_when_the_server_fails_at_it() {
    replay(
        "seed 194446310 0.11.4 force
         0 hand t t2
         0 start
         0 off 1702
         0 write t t3
         10000 crash 0 1379
         0 fault crash update 1
         10000 git 821",
    );
}

#[test]
fn a_function_that_replaced_our_stub_is_switched_on_after_an_outage() {
    replay(
        "seed 195834391 quiet force activate jobs 3
         0 write b b1!
         0 write c c3
         0 write t t4
         100 start
         0 write c -5
         1 delete t
         1000 fault gateway get 4
         0 git 413
         110 crash 2 1716
         0 blink a broken a7 209
         1000 start
         0 fault raced toggle 3
         176 fault after get 1
         563 fault slow get 3
         277 write a a9#
         0 git 918
         4897 fault after toggle 1
         0 slow c broken c10# 196
         1000 write b b11
         881 downgrade 0.9.6 5956",
    );
}

#[test]
fn a_removal_of_what_a_command_deleted_during_a_deploy_waits_for_nothing() {
    replay(
        "seed 195024894 deactivate
         0 fault unclear update 1
         0 write b b4
         0 blink a gone a1 93
         0 swap t broken
         0 crash 0 2037
         4357 slow a broken a12! 217
         1000 delete a
         58 discard a 278",
    );
}

#[test]
fn a_text_that_must_be_read_first_is_sent_before_those_that_failed() {
    replay(
        "seed 197866480 0.6.43 once
         0 write c c2
         0 start
         1000 wipe
         0 slow a broken a9# 72
         0 git 1127
         0 slow b b12? b11# 96",
    );
}

#[test]
fn a_function_whose_create_was_lost_and_denied_is_switched_on_later() {
    replay(
        "seed 197128723 activate only a
         0 write c c1#
         0 write t t2%
         0 start
         165 crash 11 1391
         0 deaf 1305
         1720 swap b -9*
         0 write a a11
         0 fault forbid get 1
         0 fault after create 3
         0 hand b b16
         0 swap t empty
         1332 crash 7 227
         0 deaf 857
         1000 fault after restore 1",
    );
}

#[test]
fn a_text_that_ends_the_server_in_place_of_a_stub_is_given_up_and_the_stub_goes() {
    replay(
        "seed 200669039 once hold
         0 write b b1!
         0 fault shut update 1
         0 start
         1000 start
         0 downgrade 0.9.6 12729
         0 write b b8#",
    );
}

#[test]
fn a_server_that_goes_back_to_an_older_version_between_look_and_update_is_repaired() {
    replay(
        "seed 201263970
         0 start
         0 swap b b4
         0 hand a a5
         0 slow a broken a2 477
         0 write a -6
         1000 write b b6
         0 hand c c9
         0 blink c gone c13! 219
         0 blink a gone a10 46
         140 rollback t t3 97
         89 downgrade 0.11.4 1465",
    );
}

#[test]
fn a_text_that_somebody_stored_before_ours_crashed_runs() {
    replay(
        "seed 202861500 0.9.6 activate
         0 write a a1
         100 start
         71 fault late update 1
         0 upgrade 0.11.4 9222
         4834 mount
         1899 write b b2
         0 write a a9*
         2938 move a c
         100 reload
         132 hand a a13
         0 off 3363
         0 swap c c14",
    );
}

#[test]
fn a_stub_is_replaced_by_the_refused_text_that_was_saved_again() {
    replay(
        "seed 203862245
         0 write t t3!
         0 start
         0 fault slow update 3
         464 write a a4#
         501 fault page overview 2
         1857 swap a a1
         89 fault absent get 3
         778 touch a
         1911 mount
         67 move t b
         10000 page 3210",
    );
}

#[test]
fn a_refusal_with_a_reason_by_an_older_server_is_repaired() {
    replay(
        "seed 206269913 force
         0 write a a1
         0 hand a a1
         0 write b b2
         0 start
         4214 fault raced get 1
         0 fault slow any 1
         0 write b b4!
         6 downgrade 0.9.6 13109
         10 touch t",
    );
    replay(
        "seed 1
         0 hand a a1
         0 write a a1
         0 start
         2900 fault slow update 1
         100 write a a2!
         18 downgrade 0.9.6 1000
         20000 touch z",
    );
}

#[test]
fn a_refusal_by_an_older_server_is_repaired_after_an_outage_or_with_a_full_disk() {
    replay(
        "seed 1
         0 hand a a1
         0 write a a1
         0 start
         2900 fault slow update 1
         100 write a a2!
         18 downgrade 0.11.4 1000
         2000 fault refuse get 1
         20000 touch z",
    );
    replay(
        "seed 1
         0 hand a a1
         0 write a a1
         0 start
         2900 fault slow update 1
         100 write a a2!
         18 downgrade 0.11.4 1000
         2000 full
         15000 free
         5000 touch z",
    );
}

#[test]
fn a_lost_refusal_by_an_older_server_is_repaired() {
    replay(
        "seed 1
         0 hand a a1
         0 write a a1
         0 start
         2900 fault after update 1
         100 write a a2!
         18 downgrade 0.11.4 1
         20000 touch z",
    );
}

#[test]
fn a_plugin_whose_file_is_back_is_not_switched_off_a_second_time() {
    replay(
        "seed 207356488 deactivate
         0 start
         0 swap c -5
         8310 set activate on
         0 write a a1
         1000 fault raced toggle 1
         0 delete a
         30686 write a a10",
    );
}

#[test]
fn a_removal_waits_for_a_save_that_waits_for_its_formatter() {
    replay(
        "seed 207686739 delete
         0 write b b1%
         0 start
         10000 swap b -5#
         0 move b t
         96 fault after restore 2
         176 blink c gone c7 130
         172 fault after create 4
         24782 write t t8
         2193 deaf 901
         10 deaf 1303
         1990 blink a gone a9~ 102
         162 move a c
         631 write c b11~",
    );
}

/// Git is still at work when the settings turn out to be what they were.
#[test]
fn what_is_read_again_waits_for_git() {
    replay(
        "seed 210010113
         0 start
         0 swap a a5
         1000 drop t
         0 slow t broken c6* 745
         1000 move a c
         363 toggle t
         0 delete t
         0 settings 485
         0 git 670",
    );
}

/// Another program answers for a moment, and then the server restarts.
#[test]
fn a_single_pass_counts_its_patience_from_the_first_trouble() {
    replay(
        "seed 210457790 0.11.4 once hold jobs 2
         0 write a a1#
         0 hand a a2
         0 write b b3
         100 start
         100 rescan
         0 fault page get 1
         0 blink b broken b5% 285
         0 fault slow update 1
         1000 start
         1000 slow c c7? b4 734
         924 upgrade 0.12.4 1877
         719 rescan",
    );
}
