// SPDX-License-Identifier: Apache-2.0
// Work on a thread of its own, answered by a promise.
// libuv's pool is not used: a pool thread that entered another network namespace would serve the
// next, unrelated request from there.
#pragma once

#include <napi.h>

#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "failure.h"

namespace sealift {

/// One piece of work. Work() runs on the new thread and may throw Failure; Result() runs on
/// JavaScript's thread afterwards, only if Work() returned.
class Job {
 public:
  explicit Job(Napi::Env env) : deferred_(Napi::Promise::Deferred::New(env)) {}
  virtual ~Job() = default;
  Job(const Job&) = delete;
  Job& operator=(const Job&) = delete;

  /// Starts the thread, inside the namespace at `netns` unless that is empty. The job deletes itself.
  static Napi::Promise Start(Napi::Env env, Job* job, std::string netns);

 protected:
  virtual void Work() = 0;
  virtual Napi::Value Result(Napi::Env env) = 0;

 private:
  void Run(const std::string& netns);
  static void Settle(napi_env env, napi_value callback, void* context, void* data);

  Napi::Promise::Deferred deferred_;
  std::optional<Failure> failure_;
};

template <typename T>
class JobOf : public Job {
 public:
  using WorkFn = std::function<T()>;
  using ResultFn = std::function<Napi::Value(Napi::Env, const T&)>;
  JobOf(Napi::Env env, WorkFn work, ResultFn result)
      : Job(env), work_(std::move(work)), result_(std::move(result)) {}

 protected:
  void Work() override { value_.emplace(work_()); }
  Napi::Value Result(Napi::Env env) override { return result_(env, *value_); }

 private:
  WorkFn work_;
  ResultFn result_;
  std::optional<T> value_;
};

/// A promise of what `work` returns, converted by `result` on JavaScript's thread.
template <typename T>
Napi::Promise Promise(Napi::Env env, std::string netns, std::function<T()> work,
                      std::function<Napi::Value(Napi::Env, const T&)> result) {
  return Job::Start(env, new JobOf<T>(env, std::move(work), std::move(result)), std::move(netns));
}

/// A promise of nothing but the end of `work`.
Napi::Promise PromiseDone(Napi::Env env, std::string netns, std::function<void()> work);

}  // namespace sealift
