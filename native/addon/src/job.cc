// SPDX-License-Identifier: Apache-2.0
#include "job.h"

#include <memory>
#include <system_error>
#include <thread>

#include "netns.h"

namespace sealift {

void Job::Run(const std::string& netns) {
  try {
    if (!netns.empty()) EnterNetns(netns);
    Work();
  } catch (const Failure& failure) {
    failure_ = failure;
  } catch (const std::exception& error) {
    failure_ = Failure("Internal", error.what());
  }
}

void Job::Settle(napi_env raw, napi_value, void*, void* data) {
  std::unique_ptr<Job> job(static_cast<Job*>(data));
  if (raw == nullptr) return;  // the environment is being torn down: no caller waits
  Napi::Env env(raw);
  Napi::HandleScope scope(env);
  if (!job->failure_) {
    job->deferred_.Resolve(job->Result(env));
    return;
  }
  Napi::Error error = Napi::Error::New(env, job->failure_->what());
  error.Value().Set("code", Napi::String::New(env, job->failure_->code()));
  job->deferred_.Reject(error.Value());
}

Napi::Promise Job::Start(Napi::Env env, Job* raw, std::string netns) {
  std::unique_ptr<Job> job(raw);
  Napi::Promise promise = job->deferred_.Promise();
  napi_threadsafe_function done = nullptr;
  napi_status status = napi_create_threadsafe_function(
      env, nullptr, nullptr, Napi::String::New(env, "sealift"), 0, 1, nullptr, nullptr, nullptr,
      Job::Settle, &done);
  if (status != napi_ok) throw Napi::Error::New(env);

  try {
    std::thread([raw, done, netns = std::move(netns)] {
      raw->Run(netns);
      // A closing environment does not take the job; it is left to the end of the process.
      napi_call_threadsafe_function(done, raw, napi_tsfn_blocking);
      napi_release_threadsafe_function(done, napi_tsfn_release);
    }).detach();
  } catch (const std::system_error& error) {
    napi_release_threadsafe_function(done, napi_tsfn_abort);
    throw Napi::Error::New(env, std::string("no thread: ") + error.what());
  }
  job.release();  // Settle owns it from here
  return promise;
}

namespace {

class PlainJob : public Job {
 public:
  PlainJob(Napi::Env env, std::function<void()> work) : Job(env), work_(std::move(work)) {}

 protected:
  void Work() override { work_(); }
  Napi::Value Result(Napi::Env env) override { return env.Undefined(); }

 private:
  std::function<void()> work_;
};

}  // namespace

Napi::Promise PromiseDone(Napi::Env env, std::string netns, std::function<void()> work) {
  return Job::Start(env, new PlainJob(env, std::move(work)), std::move(netns));
}

}  // namespace sealift
