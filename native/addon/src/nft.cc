// SPDX-License-Identifier: Apache-2.0
// nftables rules through libnftables.
#include "nft.h"

#include <nftables/libnftables.h>

#include <memory>
#include <mutex>

#include "arguments.h"
#include "job.h"

namespace sealift {

namespace {

std::string RunNft(const std::string& commands, bool json) {
  // Contexts are independent, the library's tables beneath them are not.
  static std::mutex one_at_a_time;
  std::lock_guard<std::mutex> guard(one_at_a_time);

  std::unique_ptr<nft_ctx, void (*)(nft_ctx*)> context(nft_ctx_new(NFT_CTX_DEFAULT), nft_ctx_free);
  if (!context) throw Failure("NftFailed", "no nftables context");
  if (nft_ctx_buffer_output(context.get()) || nft_ctx_buffer_error(context.get()))
    throw Failure("NftFailed", "no nftables buffers");
  if (json) nft_ctx_output_set_flags(context.get(), NFT_CTX_OUTPUT_JSON);
  if (nft_run_cmd_from_buffer(context.get(), commands.c_str()) != 0) {
    const char* text = nft_ctx_get_error_buffer(context.get());
    throw Failure("NftFailed", text && *text ? text : "nftables refused the commands");
  }
  const char* output = nft_ctx_get_output_buffer(context.get());
  return output ? output : "";
}

Napi::Value Nft(const Napi::CallbackInfo& info) {
  std::string commands = StringArgument(info, 1, "commands");
  bool json = info[2].ToBoolean();
  return Promise<std::string>(
      info.Env(), PathArgument(info, 0, "netns"), [=] { return RunNft(commands, json); },
      [](Napi::Env env, const std::string& text) { return Napi::String::New(env, text); });
}

}  // namespace

void ExportNft(Napi::Env env, Napi::Object exports) {
  exports.Set("nft", Napi::Function::New<Nft>(env));
}

}  // namespace sealift
